#define _GNU_SOURCE
#include "CLinuxProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// Linux 5.11; older kernels answer EINVAL.
#define CLOSE_RANGE_AT_EXEC (1U << 2)

// Sixteen layers on each of sixty disks.
enum { GLOVEBOX_DESCRIPTORS_MAX = 1024 };

// Not in the headers of every C library.
enum { BY_PIDFD = 3 };

struct failure {
    int step;
    int number;
};

// Between fork and exec only calls that are safe in a signal handler.

static int reset_signals(void) {
    struct sigaction standard;
    memset(&standard, 0, sizeof standard);
    standard.sa_handler = SIG_DFL;
    // SIGKILL, SIGSTOP and the C library's own two refuse, which does not matter.
    for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int first_free_number(const struct glovebox_child *child) {
    int free = 3;
    for (size_t i = 0; i < child->count; i++)
        if (child->numbers[i] >= free) free = child->numbers[i] + 1;
    return free;
}

// Moves the descriptors to their numbers; first all of them out of the way of one another.
static int place_descriptors(const struct glovebox_child *child, int *moved, int *report) {
    int free = first_free_number(child);
    *report = fcntl(*report, F_DUPFD_CLOEXEC, free);
    if (*report == -1) return -1;
    for (size_t i = 0; i < child->count; i++) {
        moved[i] = fcntl(child->descriptors[i], F_DUPFD_CLOEXEC, free);
        if (moved[i] == -1) return -1;
    }
    if (syscall(SYS_close_range, 0, UINT_MAX, CLOSE_RANGE_AT_EXEC) == -1) return -1;
    for (size_t i = 0; i < child->count; i++)
        if (dup2(moved[i], child->numbers[i]) == -1) return -1;
    return 0;
}

static void run_child(const struct glovebox_child *child, int *moved, int report, pid_t parent) {
    struct failure failure = {GLOVEBOX_STEP_DESCRIPTORS, 0};
    if (place_descriptors(child, moved, &report) == -1) goto fail;
    failure.step = GLOVEBOX_STEP_SESSION;
    if (child->new_session && setsid() == -1) goto fail;
    failure.step = GLOVEBOX_STEP_DEATH_SIGNAL;
    if (child->death_signal) {
        if (prctl(PR_SET_PDEATHSIG, child->death_signal) == -1) goto fail;
        // The parent may have ended before that.
        errno = ESRCH;
        if (getppid() != parent) goto fail;
    }
    failure.step = GLOVEBOX_STEP_EXEC;
    if (reset_signals() == -1) goto fail;
    execve(child->path, child->arguments, child->environment);
fail:
    failure.number = errno;
    while (write(report, &failure, sizeof failure) == -1 && errno == EINTR) {
    }
    _exit(127);
}

pid_t glovebox_start(const struct glovebox_child *child, int *step) {
    *step = GLOVEBOX_STEP_FORK;
    if (child->count > GLOVEBOX_DESCRIPTORS_MAX) {
        errno = E2BIG;
        return -1;
    }
    int moved[GLOVEBOX_DESCRIPTORS_MAX];
    int report[2];
    if (pipe2(report, O_CLOEXEC) == -1) return -1;
    // No handler of ours may run in the child.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t process = fork();
    if (process == 0) run_child(child, moved, report[1], parent);
    int number = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    struct failure failure = {GLOVEBOX_STEP_FORK, number};
    ssize_t got = 0;
    if (process != -1)
        while ((got = read(report[0], &failure, sizeof failure)) == -1 && errno == EINTR) {
        }
    close(report[0]);
    if (process != -1 && got != (ssize_t)sizeof failure) return process;
    if (process != -1) waitpid(process, NULL, 0);
    *step = failure.step;
    errno = failure.number;
    return -1;
}

int glovebox_pidfd_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int glovebox_pidfd_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int glovebox_pidfd_reap(int pidfd, int *status) {
    siginfo_t info = {.si_pid = 0};
    int result;
    do {
        result = waitid((idtype_t)BY_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    } while (result == -1 && errno == EINTR);
    if (result == -1) return -1;
    if (info.si_pid == 0) return 0;
    *status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return 1;
}

pid_t glovebox_reap_any(void) {
    pid_t process;
    do {
        process = waitpid(-1, NULL, WNOHANG);
    } while (process == -1 && errno == EINTR);
    return process;
}

int glovebox_set_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

int glovebox_set_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

int glovebox_set_child_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int glovebox_leave_network(void) { return unshare(CLONE_NEWNET); }

int glovebox_ignore_signal(int number) { return signal(number, SIG_IGN) == SIG_ERR ? -1 : 0; }

int glovebox_set_limit(int resource, uint64_t value) {
    struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
    return setrlimit(resource, &limit);
}

static int name_socket(struct sockaddr_un *address, const char *path) {
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address->sun_path, path);
    return 0;
}

int glovebox_stream_socket(void) {
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int glovebox_connect(int client, const char *path) {
    struct sockaddr_un address = {0};
    if (name_socket(&address, path) == -1) return -1;
    return connect(client, (struct sockaddr *)&address, sizeof address);
}

int glovebox_listen(const char *path) {
    struct sockaddr_un address = {0};
    if (name_socket(&address, path) == -1) return -1;
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server == -1) return -1;
    if (bind(server, (struct sockaddr *)&address, sizeof address) == -1 ||
        listen(server, 64) == -1) {
        int number = errno;
        close(server);
        errno = number;
        return -1;
    }
    return server;
}

int glovebox_system_log(const void *message, size_t count) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int client = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (client == -1) return -1;
    ssize_t sent = sendto(client, message, count, MSG_DONTWAIT | MSG_NOSIGNAL,
                          (struct sockaddr *)&address, sizeof address);
    int number = errno;
    close(client);
    errno = number;
    return sent == -1 ? -1 : 0;
}
