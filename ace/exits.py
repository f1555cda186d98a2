"""Exit codes of a verification beside those of pytest, 0 to 5; `ace verify --help` says what each means."""

NOTHING_COMPARED, CHANGED, NO_VERDICT = 6, 7, 8
