struct Text {};
void show(int number);
void show(Text text, int size);
int main() { show(Text{}); }
