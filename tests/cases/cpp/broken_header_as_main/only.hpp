inline int two() { return one; }
