/* What a hostile program would try, one word each. The sandbox runs this in place of a compiler.
   Prints what it got; exit status 0 means that it got what it wanted, 1 that it was denied. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int denied(const char *what) {
    printf("%s: %s\n", what, strerror(errno));
    return 1;
}

static int connect_tcp(const char *host, const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    inet_pton(AF_INET, host, &address.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&address, sizeof address)) return denied("tcp");
    return 0;
}

/* A name that starts with @ is an abstract one. */
static int connect_unix(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, name, sizeof address.sun_path - 1);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(name);
    if (name[0] == '@') address.sun_path[0] = 0;
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&address, length)) return denied("unix");
    return 0;
}

static int read_path(const char *path) {
    char buffer[64];
    DIR *directory = opendir(path);
    if (directory) {
        struct dirent *entry;
        while ((entry = readdir(directory)))
            if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) return 0;
        printf("%s: empty\n", path);
        return 1;
    }
    int f = open(path, O_RDONLY);
    ssize_t got = f < 0 ? -1 : read(f, buffer, sizeof buffer);
    if (got < 0) return denied(path);
    if (got == 0) printf("%s: empty\n", path);
    return got == 0;
}

/* The score that the kernel's out-of-memory killer goes by: as low as an ordinary process has it. */
static int spare_me(void) {
    int f = open("/proc/self/oom_score_adj", O_WRONLY);
    if (f < 0 || write(f, "0", 1) != 1) return denied("oom_score_adj");
    return 0;
}

static void list(const char *path) {
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) puts(entry->d_name);
}

/* Prints those paths of a list, one a line, that can be opened. */
static void reachable(const char *names) {
    char path[4096];
    FILE *file = fopen(names, "r");
    while (file && fgets(path, sizeof path, file)) {
        path[strcspn(path, "\n")] = 0;
        if (open(path, O_RDONLY) >= 0) puts(path);
    }
}

static int write_path(const char *path) {
    int f = open(path, O_WRONLY | O_CREAT, 0600);
    if (f < 0 || write(f, "x", 1) != 1) return denied(path);
    return 0;
}

static void spin(void) {
    for (volatile unsigned long n = 0;; n++) {}
}

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

static int fork_each(int count, void (*work)(void)) {
    for (int n = 0; n < count; n++) {
        pid_t child = fork();
        if (child < 0) return n;
        if (child == 0) { work(); _exit(0); }
    }
    return count;
}

/* One child after the other, each using 12 ms of the processor: less than the time between two samples. Each prints
   a dot, so that the sum is known outside. */
static void short_children(int count) {
    for (int n = 0; n < count; n++) {
        if (fork() == 0) {
            struct timespec now = {0};
            while (now.tv_nsec < 12000000) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
            write(1, ".", 1);
            _exit(0);
        }
        while (wait(0) > 0 || errno != ECHILD) {}
    }
}

static void endless_short_children(void) { short_children(1000000); }

/* Reads one byte in each 2 MB of so many GB that were never written: each costs a page table of 4 kB. */
static int page_tables(size_t gigabytes) {
    size_t total = gigabytes << 30;
    char *start = mmap(0, total, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return denied("mmap");
    madvise(start, total, MADV_NOHUGEPAGE);
    for (size_t offset = 0; offset < total; offset += 2 << 20) ((volatile char *)start)[offset];
    sleep(1);
    return 0;
}

static void sleep_long(void) { sleep(1000); }

static void eat(size_t megabytes, int flags) {
    size_t step = 1 << 20;
    for (size_t n = 0; n < megabytes; n++) {
        char *block = mmap(0, step, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (block == MAP_FAILED) { puts("no memory"); fflush(stdout); exit(1); }
        memset(block, 1, step);
    }
}

static void eat_and_sleep(void) { eat(30, MAP_PRIVATE | MAP_ANONYMOUS); sleep_long(); }

static void flood(int descriptor) {
    static char block[65536];
    memset(block, 'x', sizeof block);
    while (write(descriptor, block, sizeof block) > 0) {}
}

static void fill(const char *path, long megabytes) {
    static char block[1 << 20];
    int f = open(path, O_WRONLY | O_CREAT, 0600);
    memset(block, 1, sizeof block);
    for (long n = 0; n < megabytes; n++)
        if (write(f, block, sizeof block) <= 0) { denied(path); fflush(stdout); sleep(5); exit(1); }
}

/* $HOME/x and $TMPDIR/x, since sandboxes differ in where the workspace and the private directory are. */
static const char *expand(const char *path) {
    static char full[4096];
    const char *rest = strchr(path, '/');
    if (path[0] != '$' || !rest) return path;
    char name[32] = "";
    strncpy(name, path + 1, rest - path - 1);
    snprintf(full, sizeof full, "%s%s", getenv(name), rest);
    return full;
}

int main(int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "", *a = argc > 2 ? argv[2] : "", *b = argc > 3 ? argv[3] : "";
    a = expand(a);
    if (!strcmp(word, "environ")) { for (char **e = environ; *e; e++) puts(*e); return 0; }
    if (!strcmp(word, "exit")) return atoi(a);
    if (!strcmp(word, "die")) { signal(atoi(a), SIG_DFL); kill(getpid(), atoi(a)); sleep(5); return 0; }
    if (!strcmp(word, "tcp")) return connect_tcp(a, b);
    if (!strcmp(word, "unix")) return connect_unix(a);
    if (!strcmp(word, "read")) return read_path(a);
    if (!strcmp(word, "write")) return write_path(a);
    if (!strcmp(word, "spare-me")) return spare_me();
    if (!strcmp(word, "list")) { list(a); return 0; }
    if (!strcmp(word, "reachable")) { reachable(a); puts("end"); return 0; }
    if (!strcmp(word, "say")) { fputs(a, stdout); fputs(b, stderr); return 0; }
    if (!strcmp(word, "stdin")) { char c; printf("%zd\n", read(0, &c, 1)); return 0; }
    if (!strcmp(word, "cat")) { char c; int f = open(a, O_RDONLY); while (read(f, &c, 1) == 1) putchar(c); return f < 0; }
    if (!strcmp(word, "whoami")) { printf("%d %d\n", getuid() == 0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); return 0; }
    if (!strcmp(word, "descriptors")) {
        for (int n = 0; n < 1024; n++) if (fcntl(n, F_GETFD) >= 0) printf("%d ", n);
        return 0;
    }
    if (!strcmp(word, "userns")) return unshare(CLONE_NEWUSER) ? denied("unshare") : 0;
    if (!strcmp(word, "limits")) {
        struct rlimit l;
        getrlimit(RLIMIT_CORE, &l); printf("core %ld\n", (long)l.rlim_max);
        getrlimit(RLIMIT_NOFILE, &l); printf("open_files %ld\n", (long)l.rlim_max);
        return 0;
    }
    if (!strcmp(word, "sleep")) { sleep_long(); return 0; }
    if (!strcmp(word, "spin")) spin();
    if (!strcmp(word, "spin-children")) { fork_each(atoi(a), spin); while (wait(0) > 0) {} return 0; }
    if (!strcmp(word, "vanishing-children")) {
        signal(SIGCHLD, SIG_IGN);
        fork_each(atoi(a), endless_short_children);
        while (wait(0) > 0 || errno != ECHILD) {}
        return 0;
    }
    if (!strcmp(word, "short-children")) {
        struct rusage own, of_children;
        short_children(atoi(a));
        getrusage(RUSAGE_SELF, &own);
        getrusage(RUSAGE_CHILDREN, &of_children);
        fprintf(stderr, "%f\n", seconds(own.ru_utime) + seconds(own.ru_stime)
                + seconds(of_children.ru_utime) + seconds(of_children.ru_stime));
        return 0;
    }
    if (!strcmp(word, "page-tables")) return page_tables(atol(a));
    if (!strcmp(word, "fork-bomb")) { printf("%d\n", fork_each(100000, sleep_long)); fflush(stdout); sleep_long(); }
    if (!strcmp(word, "eat")) { eat(atoi(a), MAP_PRIVATE | MAP_ANONYMOUS); sleep(1); return 0; }
    if (!strcmp(word, "eat-shared")) { eat(atoi(a), MAP_SHARED | MAP_ANONYMOUS); sleep(5); return 0; }
    if (!strcmp(word, "eat-children")) { fork_each(atoi(a), eat_and_sleep); while (wait(0) > 0) {} return 0; }
    if (!strcmp(word, "flood")) { flood(atoi(a)); return 0; }
    if (!strcmp(word, "print")) { for (int n = atoi(a); n > 0; n--) putchar('x'); return 0; }
    if (!strcmp(word, "fill")) { fill(a, atol(b)); sleep(1); return 0; }
    if (!strcmp(word, "many-files")) {
        char name[64];
        for (int n = 0; n < 10000000; n++) { sprintf(name, "f%d", n); close(open(name, O_CREAT | O_WRONLY, 0600)); }
        return 0;
    }
    if (!strcmp(word, "orphan")) {
        if (fork() == 0) { setsid(); if (fork() == 0) sleep_long(); _exit(0); }
        wait(0);
        puts("done");
        return 0;
    }
    if (!strcmp(word, "wreck")) {
        /* A tree that is hard to remove: deep, unreadable, with links that lead out. */
        symlink("/", "root"); symlink("..", "up"); mkdir("closed", 0700); mkdir("closed/in", 0700); chmod("closed", 0);
        for (int n = 0; n < 400; n++) if (mkdir("d", 0700) || chdir("d")) break;
        return 0;
    }
    return 99;
}
