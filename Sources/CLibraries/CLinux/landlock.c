#define _GNU_SOURCE
#include "CLinuxProcess.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

// The numbers stand here because the headers of the machine that builds may be older than the
// kernel that runs. Source: Documentation/userspace-api/landlock.rst, include/uapi/linux/landlock.h.

struct ruleset {
    uint64_t files;
    uint64_t network;
    uint64_t scoped;
};

struct path_beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

enum { CREATE = 444, ADD_RULE = 445, RESTRICT_SELF = 446 };
enum { PATH_BENEATH = 1, ASK_VERSION = 1 };

enum {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIRECTORY = 1 << 3,
    ALL_OF_ABI_1 = (1 << 13) - 1,
    REFER = 1 << 13,      // ABI 2
    TRUNCATE = 1 << 14,   // ABI 3
    DEVICE_IOCTL = 1 << 15, // ABI 5
};

static uint64_t known(int version) {
    uint64_t access = ALL_OF_ABI_1;
    if (version >= 2) access |= REFER;
    if (version >= 3) access |= TRUNCATE;
    if (version >= 5) access |= DEVICE_IOCTL;
    return access;
}

int glovebox_landlock_version(void) {
    return (int)syscall(CREATE, NULL, 0, ASK_VERSION);
}

int glovebox_landlock_create(int version) {
    struct ruleset rules = {
        .files = known(version),
        // Bind and connect by TCP.
        .network = version >= 4 ? 3 : 0,
        // Abstract sockets, and signals to those outside.
        .scoped = version >= 6 ? 3 : 0,
    };
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    return (int)syscall(CREATE, &rules, size, 0);
}

int glovebox_landlock_allow(int ruleset, int beneath, int is_directory, int execute, int write,
                            int version) {
    uint64_t access = READ_FILE | (execute ? EXECUTE : 0) | (is_directory ? READ_DIRECTORY : 0);
    if (write) {
        // What a device takes orders by; nothing to other files.
        access |= WRITE_FILE | (known(version) & (TRUNCATE | DEVICE_IOCTL));
        if (is_directory) access = known(version) & ~(uint64_t)(execute ? 0 : EXECUTE);
    }
    struct path_beneath rule = {.allowed = access, .parent = beneath};
    return (int)syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0);
}

int glovebox_landlock_restrict(int ruleset) {
    return (int)syscall(RESTRICT_SELF, ruleset, 0);
}
