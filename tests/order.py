"""The order in which modules of tests are begun, so that all workers end at about the same time."""

LONGEST_FIRST = (
    "test_executors",
    "test_every_defense",
    "test_hostile_corpus",
    "test_side_by_side",
    "test_shared_store",
    "test_readme",
    "test_run",
    "test_earlier_stores",
    "test_newcomer_walk",
    "test_remote",
    "test_fuzz",
    "test_forgeries",
    "test_interruptions",
    "test_submission",
    "test_rerun",
    "test_board_commands",
    "test_declared_facts",
    "test_check_model",
    "test_victim",
    "test_processes",
    "test_log",
    "test_interrupted_attack",
    "test_page",
    "test_own_code",
    "test_gan_boards",
    "test_parallel",
    "test_architecture",
)
"""The modules that take longest. One that began last would keep one worker busy while the others
have nothing left to do; by itself, xdist begins with the modules that have most tests."""
