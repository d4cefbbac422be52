int left();
int right();
int main() { return left() + right(); }
