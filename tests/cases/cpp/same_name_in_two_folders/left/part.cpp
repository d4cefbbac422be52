int left() { return 1; }
