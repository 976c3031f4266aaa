#ifndef GLOVEBOX_CLINUX_PROCESS_H
#define GLOVEBOX_CLINUX_PROCESS_H

// Processes: starting, watching and confining them. Each returns what the call returns; -1 leaves
// the reason in errno.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// What a child is to be; nothing of it changes while it is started.
struct glovebox_child {
    const char *path;
    char *const *arguments;
    char *const *environment;
    /// Descriptors of ours and the numbers that the child knows them by; all others are closed.
    const int *descriptors;
    const int *numbers;
    size_t count;
    /// Whether it leads a session of its own.
    int new_session;
    /// The signal that it gets when the thread that started it ends; 0 for none.
    int death_signal;
};

/// Which step of glovebox_start failed.
enum glovebox_step {
    GLOVEBOX_STEP_FORK = 1,
    GLOVEBOX_STEP_DESCRIPTORS,
    GLOVEBOX_STEP_SESSION,
    GLOVEBOX_STEP_DEATH_SIGNAL,
    GLOVEBOX_STEP_EXEC,
};

/// fork and execve: the process id, or -1 with the errno of the failed step.
///
/// The child starts with every signal at its default and none blocked, whatever the parent has.
pid_t glovebox_start(const struct glovebox_child *child, int *step);

/// pidfd_open(2).
int glovebox_pidfd_open(pid_t process);

/// pidfd_send_signal(2).
int glovebox_pidfd_signal(int pidfd, int signal);

/// waitid(2) on a pidfd, without waiting: 1 where it has ended and is reaped now, 0 where it runs.
/// `status` is the exit code, or minus the signal that ended it.
int glovebox_pidfd_reap(int pidfd, int *status);

/// waitpid(2) for any child, without waiting: its id, 0 where all run, -1 where there is none.
pid_t glovebox_reap_any(void);

/// PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER.
int glovebox_set_death_signal(int signal);
int glovebox_set_no_new_privileges(void);
int glovebox_set_child_subreaper(void);

/// unshare(2) CLONE_NEWNET: a network of its own, in which there is nothing.
int glovebox_leave_network(void);

/// Lets a signal pass unnoticed, also in what is exec'ed from here.
int glovebox_ignore_signal(int signal);

/// setrlimit(2), soft and hard.
int glovebox_set_limit(int resource, uint64_t value);

/// A stream socket that listens at `path`.
int glovebox_listen(const char *path);

/// A stream socket that never waits, to be connected.
int glovebox_stream_socket(void);

/// Connects it to the server at `path`, without waiting: EAGAIN where the server's queue is full.
int glovebox_connect(int client, const char *path);

/// Sends one datagram to the socket of syslog, /dev/log, without waiting.
int glovebox_system_log(const void *message, size_t count);

/// The ABI of the kernel's Landlock, or -1 where it has none.
int glovebox_landlock_version(void);

/// A ruleset that handles every access that ABI `version` knows.
int glovebox_landlock_create(int version);

/// Allows reading (and with `execute` running) what lies at or beneath the file `beneath`.
int glovebox_landlock_allow(int ruleset, int beneath, int is_directory, int execute, int write,
                            int version);

/// Confines this thread, and what it starts, to the ruleset.
int glovebox_landlock_restrict(int ruleset);

#endif
