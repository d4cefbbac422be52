void stop(void) { __asm__("bogus %eax"); }
