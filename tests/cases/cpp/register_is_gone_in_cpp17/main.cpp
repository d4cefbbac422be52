int same(int value) { register int copy = value; return copy; }
