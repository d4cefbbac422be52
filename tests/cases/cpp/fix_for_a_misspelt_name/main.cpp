int sum(int left, int right) {
    int total = left + right;
    return totla;
}
