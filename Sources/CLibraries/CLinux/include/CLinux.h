#ifndef GLOVEBOX_CLINUX_H
#define GLOVEBOX_CLINUX_H

// System calls that Swift cannot import: variadic ones, those without a libc function, and macros.
// Each returns what the call returns; -1 leaves the reason in errno.

#include "CLinuxProcess.h"
#include "CLinuxTree.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/types.h>

/// openat2(2), with RESOLVE_* in `resolve`.
int glovebox_openat2(int directory, const char *path, uint64_t flags, uint64_t mode,
                     uint64_t resolve);

/// openat(2) with its mode.
int glovebox_openat(int directory, const char *path, int flags, mode_t mode);

/// F_OFD_GETLK as a write lock on `length` bytes: 1 where another description holds a lock, 0 where
/// none does.
int glovebox_lock_held(int descriptor, int64_t start, int64_t length);

/// F_OFD_SETLK of `type` (F_RDLCK, F_WRLCK, F_UNLCK) on `length` bytes, without waiting.
int glovebox_lock_set(int descriptor, short type, int64_t start, int64_t length);

/// The magic number of the file system that holds an open file, from fstatfs(2).
int glovebox_file_system_magic(int descriptor, uint32_t *magic);

/// The name of an error number, such as "ENOENT", or NULL.
const char *glovebox_error_name(int number);

/// The sentence for an error number, such as "No such file or directory", or NULL.
const char *glovebox_error_sentence(int number);

/// An unnamed file in memory, from memfd_create(2), closed on exec.
int glovebox_memory_file(const char *name);

static const uint64_t GLOVEBOX_RESOLVE_NO_XDEV = 0x01;
static const uint64_t GLOVEBOX_RESOLVE_NO_MAGICLINKS = 0x02;
static const uint64_t GLOVEBOX_RESOLVE_NO_SYMLINKS = 0x04;
static const uint64_t GLOVEBOX_RESOLVE_BENEATH = 0x08;
static const uint64_t GLOVEBOX_RESOLVE_IN_ROOT = 0x10;

// Not exposed by glibc without _GNU_SOURCE, and O_PATH is needed to look before opening.
static const int GLOVEBOX_O_PATH = 010000000;
static const int GLOVEBOX_O_TMPFILE = 020000000 | 0200000;

#endif
