__asm__(".section .gnu.lto_.symtab.1234,\"e\",@progbits\n.asciz \"main\"\n.byte 0,255,1,1,1,1,1,1,1,1,1,1,1,1,1\n.text");
int main(void) { return 0; }
