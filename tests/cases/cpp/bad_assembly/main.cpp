int main() {
    asm("no_such_instruction");
}
