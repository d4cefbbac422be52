#include <sys/epoll.h>
int open_queue(void) { return epoll_create1(EPOLL_CLOEXEC); }
