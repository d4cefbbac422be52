int answer() { return 42; }
int main() { return answer(); }
