#if defined __linux__ && defined __x86_64__
#error linux on x86_64
#elif defined __linux__ && defined __aarch64__
#error linux on arm64
#elif defined __linux__ && defined __riscv
#error linux on riscv64
#elif defined __APPLE__ && defined __aarch64__
#error macos on arm64
#elif defined _WIN64 && defined __x86_64__
#error windows on x86_64
#endif
