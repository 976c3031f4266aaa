#ifndef GLOVEBOX_CLINUX_TREE_H
#define GLOVEBOX_CLINUX_TREE_H

// What writing a tree and feeding a pipe need. Each returns what the call returns.

#include <stdint.h>
#include <sys/types.h>

/// splice(2) from `offset` of a file into a pipe.
ssize_t glovebox_splice(int file, int64_t offset, int pipe, size_t count);

/// pipe2(2) with O_CLOEXEC.
int glovebox_pipe(int ends[2]);

/// fcntl F_SETPIPE_SZ: the size that the pipe has now.
int glovebox_set_pipe_size(int pipe, int size);

/// linkat(2) of an open file, by its descriptor, to a new name.
int glovebox_link_descriptor(int file, int directory, const char *name);

/// Gives `from` the name `to`, which must not exist; also where there are no hard links, as on FAT.
int glovebox_rename_to_new(const char *from, const char *to);

/// fsetxattr(2), replacing what is there.
int glovebox_set_attribute(int file, const char *name, const void *value, size_t count);

#endif
