void elsewhere();
int main() { elsewhere(); }
