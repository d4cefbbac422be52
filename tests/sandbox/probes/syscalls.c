/* Makes system calls by name and prints "name errno" for each, errno 0 for success. The test puts a line for each
   call of the policy where it says CALLS; calls whose arguments matter are written out below. Bare names are made
   with all arguments zero, which does nothing even where it is allowed. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct { const char *name; long number; } calls[] = {
    /* CALLS */
    {0, 0},
};

static void *nothing(void *argument) { return argument; }

/* A clone that succeeds is a child, which leaves at once. */
static long clone_with(unsigned long flags) {
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    if (child > 0) wait(0);
    return child < 0 ? -1 : 0;
}

static long pair(long family, long type) {
    int ends[2];
    return syscall(SYS_socketpair, family, type, 0, ends);
}

static long foreign(const char *name) {
#ifdef __x86_64__
    long result;
    if (!strcmp(name, "i386")) __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
    else result = syscall(0x40000000L | SYS_getpid);
    if (result < 0) { errno = -result; return -1; }
#endif
    return 0;
}

static long make(const char *name) {
    char rest[64] = "";
    unsigned long first = 0, second = 0;
    pthread_t thread;
    if (sscanf(name, "clone:%lx", &first) == 1) return clone_with(first);
    if (sscanf(name, "socketpair:%lu:%lu", &first, &second) == 2) return pair(first, second);
    if (sscanf(name, "ioctl:%lx", &first) == 1) return syscall(SYS_ioctl, 0, first, rest);
    if (sscanf(name, "mmap:%lx", &first) == 1) return syscall(SYS_mmap, 0, 4096, 1, first, -1, 0);
    if (sscanf(name, "fcntl:%lx", &first) == 1) return syscall(SYS_fcntl, 0, first, rest);
    if (sscanf(name, "prctl:%lx", &first) == 1) return syscall(SYS_prctl, first, 0, 0, 0, 0);
    if (!strcmp(name, "thread")) { errno = pthread_create(&thread, 0, nothing, 0); return errno ? -1 : pthread_join(thread, 0); }
    if (!strcmp(name, "i386") || !strcmp(name, "x32")) return foreign(name);
    for (int n = 0; calls[n].name; n++)
        if (!strcmp(name, calls[n].name)) return syscall(calls[n].number, 0, 0, 0, 0, 0, 0);
    errno = 0;
    return -1;
}

int main(int argc, char **argv) {
    for (int n = 1; n < argc; n++) {
        errno = 0;
        long result = make(argv[n]);
        printf("%s %d\n", argv[n], result < 0 ? errno : 0);
        fflush(stdout);
    }
    return 0;
}
