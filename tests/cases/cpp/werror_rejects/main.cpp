int main() {
    int unused = 1;
    return 0;
}
