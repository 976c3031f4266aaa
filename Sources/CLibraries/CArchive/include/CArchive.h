#ifndef GLOVEBOX_CARCHIVE_H
#define GLOVEBOX_CARCHIVE_H
#include <stddef.h>
#include <stdint.h>

/* Formats tar headers with libarchive. Only headers pass through it: the caller writes the content, so that it is not copied once more. */
typedef struct glovebox_archive glovebox_archive;

typedef struct {
    const char *path;      /* bytes, ended by NUL */
    const char *hard_link; /* or NULL */
    const char *symlink;   /* or NULL */
    uint32_t type;         /* the type bits of a Unix mode */
    uint32_t permissions;
    int64_t user, group;
    int64_t size;
    int64_t mtime;
    int64_t mtime_nanoseconds; /* with the sign that libarchive expects: away from zero */
    uint32_t device_major, device_minor;
} glovebox_archive_fields;

/* The version of libarchive, such as "3.6.2". */
const char *glovebox_archive_version(void);

/* A new encoder of the pax format, or NULL. */
glovebox_archive *glovebox_archive_new(void);
void glovebox_archive_free(glovebox_archive *encoder);

/* Begins an entry; then come its attributes, its access lists and its data ranges, in any order. */
void glovebox_archive_begin(glovebox_archive *encoder, const glovebox_archive_fields *fields);
void glovebox_archive_add_xattr(glovebox_archive *encoder, const char *name, const void *value, size_t count);
/* `tag` and `permissions` as in the Linux form of a POSIX ACL; 0 where libarchive refuses them. */
int glovebox_archive_add_acl(glovebox_archive *encoder, int is_default, uint16_t tag, uint16_t permissions, int32_t id);
/* A range with data; where any is given, the rest of the file is a hole. */
void glovebox_archive_add_range(glovebox_archive *encoder, int64_t offset, int64_t length);

/* Ends the entry and gives its header blocks, sparse map included; valid until the next call.
   0 on failure; glovebox_archive_reason then says why. */
int glovebox_archive_end(glovebox_archive *encoder, const void **bytes, size_t *count);
const char *glovebox_archive_reason(glovebox_archive *encoder);
#endif
