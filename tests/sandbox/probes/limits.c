/* Programs that take more than the limits of a sandbox by ways that no process shows. One word each.

   Those that take memory get the number of megabytes; they stop at that, so that a machine survives them where nothing
   else stops them. Each prints "taken N", where it believes to have N megabytes, and holds them for a while; or what
   it was denied.

   Those that take the processor print a dot for each millisecond that they have used of it, for at most a minute. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MB (1l << 20)
/* Processes that share the work. The limit of processes of the tests is higher. */
#define PROCESSES 100

static long target;

static void hold(long bytes) { printf("taken %ld\n", bytes / MB); fflush(stdout); sleep(2); }

static int denied(const char *what) { printf("%s: %s\n", what, strerror(errno)); fflush(stdout); return 1; }

static long open_files(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur - 4;
}

/* Several processes do the work, each its part of the target. */
static int share(int (*work)(long)) {
    for (int n = 0; n < PROCESSES; n++)
        if (fork() == 0) _exit(work(target / PROCESSES));
    int worst = 0, status;
    while (wait(&status) > 0) if (status) worst = 1;
    return worst;
}

/* Shared memory, given back piece by piece: the pages stay. */
static int given_back(void) {
    const long step = 16 * MB;
    char *start = mmap(0, target, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return denied("mmap");
    for (long done = 0; done < target; done += step) {
        for (long at = done; at < done + step; at += 4096) start[at] = 1;
        madvise(start + done, step, MADV_DONTNEED);
    }
    hold(target);
    return 0;
}

/* Page tables: one byte read in each 2 MB costs 4 kB. */
static int page_tables(void) {
    long total = target * 512;
    char *start = mmap(0, total, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return denied("mmap");
    madvise(start, total, MADV_NOHUGEPAGE);
    for (long at = 0; at < total; at += 2 * MB) ((volatile char *)start)[at];
    hold(target);
    return 0;
}

/* Messages that wait in sockets, whose buffers are as large as may be. */
static int socket_buffers(long bytes) {
    static char message[32768];
    long taken = 0;
    int big = 1 << 30, ends[2];
    for (long n = open_files() / 2; n > 0 && taken < bytes; n--) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends)) break;
        for (int end = 0; end < 2; end++) {
            setsockopt(ends[end], SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
            for (ssize_t sent; taken < bytes && (sent = write(ends[end], message, sizeof message)) > 0;) taken += sent;
        }
    }
    hold(taken);
    return 0;
}

/* The same, with sockets that no process has: they are on their way inside other sockets. */
static int sockets_in_flight(long bytes) {
    static char message[32768];
    long taken = 0;
    int ends[2], road[2];
    for (int n = 0; taken < bytes; n++) {
        if (n % 100 == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, road)) return denied("socketpair");
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends)) return denied("socketpair");
        for (ssize_t sent; (sent = write(ends[0], message, sizeof message)) > 0;) taken += sent;
        char space[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec byte = {message, 1};
        struct msghdr header = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
        struct cmsghdr *control = CMSG_FIRSTHDR(&header);
        *control = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(control), &ends[1], sizeof(int));
        if (sendmsg(road[0], &header, 0) < 0) return denied("sendmsg");
        close(ends[0]), close(ends[1]);
    }
    hold(taken);
    return 0;
}

static int pipe_buffers(long bytes) {
    static char block[4096];
    long taken = 0;
    int ends[2];
    while (taken < bytes && !pipe2(ends, O_NONBLOCK)) {
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        for (ssize_t written; taken < bytes && (written = write(ends[1], block, sizeof block)) > 0;) taken += written;
        close(ends[1]);
    }
    hold(taken);
    return 0;
}

/* One byte of each huge page goes into a pipe; the page is given back, and stays. */
static int huge_pages_in_pipes(void) {
    long taken = 0;
    int ends[2] = {-1, -1};
    for (int n = 0; taken < target; n++) {
        if (n % 16 == 0 && pipe(ends)) return denied("pipe");
        char *start = mmap(0, 4 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *page = (char *)(((long)start + 2 * MB - 1) & -(2 * MB));
        madvise(page, 2 * MB, MADV_HUGEPAGE);
        memset(page, 1, 2 * MB);
        struct iovec byte = {page, 1};
        if (vmsplice(ends[1], &byte, 1, 0) != 1) return denied("vmsplice");
        munmap(start, 4 * MB);
        taken += 2 * MB;
    }
    hold(taken);
    return 0;
}

/* Locks on single bytes of many files. */
static int byte_locks(long bytes) {
    long taken = 0, files = open_files();
    for (long n = 0; n < files && taken < bytes; n++) {
        char name[64];
        sprintf(name, "lock-%d-%ld", getpid(), n);
        int file = open(name, O_CREAT | O_RDWR, 0600);
        if (file < 0) break;
        for (long at = 0; at < 2000 && taken < bytes; at++, taken += 200) {
            struct flock lock = {.l_type = F_WRLCK, .l_start = at * 2, .l_len = 1};
            if (fcntl(file, F_SETLK, &lock)) return denied("lock");
        }
    }
    hold(taken);
    return 0;
}

/* Landlock's rules: each of them is memory of the kernel. */
static int rulesets(long bytes) {
    long taken = 0;
    for (long n = open_files(); n > 0 && taken < bytes; n--) {
        struct { unsigned long fs, net; } rights = {0, 1};
        int ruleset = syscall(SYS_landlock_create_ruleset, &rights, sizeof rights, 0);
        if (ruleset < 0) return denied("ruleset");
        for (unsigned long port = 0; port < 65536 && taken < bytes; port++, taken += 64) {
            struct { unsigned long access, port; } rule = {1, port};
            if (syscall(SYS_landlock_add_rule, ruleset, 2, &rule, 0)) return denied("rule");
        }
    }
    hold(taken);
    return 0;
}

/* Mappings of one page each that cannot be joined; every child has its own copy of the table. */
static int mappings(void) {
    long taken = 0;
    for (int n = 0; n < 65000; n++) {
        if (mmap(0, 4096, n % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) break;
        taken += 200;
    }
    long each = taken;
    while (taken < target) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) { sleep(3); _exit(0); }
        taken += each;
    }
    hold(taken);
    return 0;
}

/* Every epoll watches every other one's file. */
static int watches(long bytes) {
    long taken = 0, half = open_files() / 2;
    int files[half];
    for (long n = 0; n < half; n++) { int ends[2]; if (n % 2 == 0 && pipe(ends)) return denied("pipe"); files[n] = ends[n % 2]; }
    for (long n = 0; n < half && taken < bytes; n++) {
        int watcher = epoll_create1(0);
        if (watcher < 0) return denied("epoll");
        for (long at = 0; at < half && taken < bytes; at++, taken += 200) {
            struct epoll_event event = {.events = EPOLLIN};
            if (epoll_ctl(watcher, EPOLL_CTL_ADD, files[at], &event)) return denied("watch");
        }
    }
    hold(taken);
    return 0;
}

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* A process of that many milliseconds, which vanishes without being waited for, and whose parent may be gone. */
static void spend(int milliseconds, int orphan) {
    if (fork()) return;
    if (orphan && fork()) _exit(0);
    while (now(CLOCK_PROCESS_CPUTIME_ID) < milliseconds / 1e3) {}
    write(1, "....................", milliseconds);
    _exit(0);
}

/* One after the other. With a gap, they only live in one half of each 20 ms. */
static int vanish(int milliseconds, int gap, int orphan) {
    signal(SIGCHLD, SIG_IGN);
    for (double start = now(CLOCK_MONOTONIC); now(CLOCK_MONOTONIC) - start < 60;) {
        double phase = now(CLOCK_MONOTONIC) / 0.02;
        if (gap && phase - (long)phase > 0.5) { usleep(1000); continue; }
        spend(milliseconds, orphan);
        if (orphan) usleep(milliseconds * 1000);
        while (wait(0) > 0 || errno != ECHILD) {}
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "";
    target = argc > 2 ? atol(argv[2]) * MB : 0;
    if (!strcmp(word, "given-back")) return given_back();
    if (!strcmp(word, "page-tables")) return page_tables();
    if (!strcmp(word, "socket-buffers")) return share(socket_buffers);
    if (!strcmp(word, "sockets-in-flight")) return sockets_in_flight(target);
    if (!strcmp(word, "pipe-buffers")) return share(pipe_buffers);
    if (!strcmp(word, "huge-pages-in-pipes")) return huge_pages_in_pipes();
    if (!strcmp(word, "byte-locks")) return byte_locks(target);
    if (!strcmp(word, "rulesets")) return rulesets(target);
    if (!strcmp(word, "mappings")) return mappings();
    if (!strcmp(word, "watches")) return share(watches);
    if (!strcmp(word, "vanishing")) { fork(); return vanish(3, 0, 0); }
    if (!strcmp(word, "between-samples")) { fork(); return vanish(2, 1, 0); }
    if (!strcmp(word, "orphans")) return vanish(5, 0, 1);
    return 99;
}
