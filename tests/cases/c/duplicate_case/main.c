int name(int number) {
    switch (number) {
    case 1: return 'a';
    case 1: return 'b';
    }
    return 0;
}
