"""Names of entries by pattern, as timm's ``list_models`` gives them."""

import robench


def test_patterns_choose_among_the_names() -> None:
    assert robench.list_defenses("oni*") == ["oni", "oni_paper"]
    assert {"batchnorm", "convnorm", "vanilla"} < set(robench.list_defenses())
    assert robench.list_defenses("no such") == []


def test_attacks_of_third_party_libraries_are_among_them() -> None:
    names = robench.list_attacks()
    assert {"fgsm", "pgd", "torchattacks:PGD", "foolbox:LinfPGD"} < set(names)
    assert all(name.startswith("foolbox:") for name in robench.list_attacks("foolbox:*"))
