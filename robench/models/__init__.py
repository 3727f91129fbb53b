"""Networks: built, handed to a defense, saved and loaded, frozen while they are attacked."""
