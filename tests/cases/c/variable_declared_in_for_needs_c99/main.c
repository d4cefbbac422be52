int sum(int count) {
    int total = 0;
    for (int index = 0; index < count; index++) total += index;
    return total;
}
