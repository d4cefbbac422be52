int right() { return 2; }
