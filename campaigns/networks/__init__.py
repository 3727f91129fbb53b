"""Networks of the sample: code that does not come with robench."""
