#define _GNU_SOURCE
#include "CArchive.h"
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct glovebox_archive {
    struct archive *archive;
    struct archive_entry *entry;
    unsigned char *bytes;
    size_t count, capacity;
    int keep;
    uint32_t permissions;
    int64_t size;
    int has_acl;
};

/* Headers are kept; what libarchive writes in place of the content is not. */
static la_ssize_t take(struct archive *archive, void *context, const void *bytes, size_t count) {
    glovebox_archive *e = context;
    (void)archive;
    if (!e->keep) return (la_ssize_t)count;
    if (count > e->capacity - e->count) {
        size_t capacity = (e->count + count) * 2;
        unsigned char *grown = realloc(e->bytes, capacity);
        if (!grown) return -1;
        e->bytes = grown;
        e->capacity = capacity;
    }
    memcpy(e->bytes + e->count, bytes, count);
    e->count += count;
    return (la_ssize_t)count;
}

static int open_archive(glovebox_archive *e) {
    e->archive = archive_write_new();
    if (!e->archive) return 0;
    if (archive_write_set_format_pax(e->archive) != ARCHIVE_OK) return 0;
    /* GNU tar reads this form, and warns about each attribute in libarchive's own. */
    if (archive_write_set_format_option(e->archive, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK) return 0;
    /* Names go through as they are. Anything else asks the locale, which a static program on a bare
       system may not have. The caller takes the mark off names that are UTF-8. */
    if (archive_write_set_format_option(e->archive, "pax", "hdrcharset", "BINARY") != ARCHIVE_OK) return 0;
    if (archive_write_set_bytes_per_block(e->archive, 0) != ARCHIVE_OK) return 0;
    return archive_write_open(e->archive, e, NULL, take, NULL) == ARCHIVE_OK;
}

static void close_archive(glovebox_archive *e) {
    if (!e->archive) return;
    archive_write_fail(e->archive); /* no end-of-archive marker: the caller writes it */
    archive_write_free(e->archive);
    e->archive = NULL;
}

/* Ends an entry without its content. libarchive would put zeros in place of that, 1,024 bytes at a
   time, so for a long file a new archive is the cheaper way to the next entry. */
static int end_entry(glovebox_archive *e) {
    if (e->size <= 1 << 20) return archive_write_finish_entry(e->archive) == ARCHIVE_OK;
    close_archive(e);
    return open_archive(e);
}

glovebox_archive *glovebox_archive_new(void) {
    glovebox_archive *e = calloc(1, sizeof *e);
    if (e) e->entry = archive_entry_new();
    if (e && !(e->entry && open_archive(e))) {
        glovebox_archive_free(e);
        e = NULL;
    }
    return e;
}

void glovebox_archive_free(glovebox_archive *e) {
    if (e->entry) archive_entry_free(e->entry);
    close_archive(e);
    free(e->bytes);
    free(e);
}

void glovebox_archive_begin(glovebox_archive *e, const glovebox_archive_fields *f) {
    struct archive_entry *entry = archive_entry_clear(e->entry);
    e->permissions = f->permissions;
    e->size = f->size;
    e->has_acl = 0;
    archive_entry_copy_pathname(entry, f->path);
    archive_entry_set_filetype(entry, f->type);
    archive_entry_set_perm(entry, f->permissions);
    archive_entry_set_uid(entry, f->user);
    archive_entry_set_gid(entry, f->group);
    archive_entry_set_size(entry, f->size);
    archive_entry_set_mtime(entry, f->mtime, (long)f->mtime_nanoseconds);
    if (f->device_major | f->device_minor) {
        archive_entry_set_rdevmajor(entry, f->device_major);
        archive_entry_set_rdevminor(entry, f->device_minor);
    }
    if (f->symlink) archive_entry_copy_symlink(entry, f->symlink);
    if (f->hard_link) archive_entry_copy_hardlink(entry, f->hard_link);
}

void glovebox_archive_add_xattr(glovebox_archive *e, const char *name, const void *value, size_t count) {
    archive_entry_xattr_add_entry(e->entry, name, value, count);
}

int glovebox_archive_add_acl(glovebox_archive *e, int is_default, uint16_t tag, uint16_t permissions, int32_t id) {
    int type = is_default ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
    int own = 0;
    if (!is_default) e->has_acl = 1;
    switch (tag) { /* Linux include/uapi/linux/posix_acl.h */
    case 0x01: own = ARCHIVE_ENTRY_ACL_USER_OBJ; break;
    case 0x02: own = ARCHIVE_ENTRY_ACL_USER; break;
    case 0x04: own = ARCHIVE_ENTRY_ACL_GROUP_OBJ; break;
    case 0x08: own = ARCHIVE_ENTRY_ACL_GROUP; break;
    case 0x10: own = ARCHIVE_ENTRY_ACL_MASK; break;
    case 0x20: own = ARCHIVE_ENTRY_ACL_OTHER; break;
    default: return 0;
    }
    return archive_entry_acl_add_entry(e->entry, type, permissions & 7, own, id, NULL) == ARCHIVE_OK;
}

void glovebox_archive_add_range(glovebox_archive *e, int64_t offset, int64_t length) {
    archive_entry_sparse_add_entry(e->entry, offset, length);
}

/* libarchive has one place for the mode and for the owning group's entry of an access list, so the
   group bits of the mode, which are the list's mask (acl(5)), get lost: put them back. */
static void restore_mode(glovebox_archive *e) {
    size_t start = 0;
    if (e->count >= 512 && e->bytes[156] == 'x')
        start = 512 + ((size_t)strtoul((char *)e->bytes + 124, NULL, 8) + 511) / 512 * 512;
    if (start > e->count || e->count - start < 512) return;
    char *header = (char *)e->bytes + start;
    snprintf(header + 100, 8, "%06o ", e->permissions & 07777);
    memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++) sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum & 0777777);
    header[155] = ' ';
}

int glovebox_archive_end(glovebox_archive *e, const void **bytes, size_t *count) {
    e->count = 0;
    e->keep = 1;
    int status = archive_write_header(e->archive, e->entry);
    /* A warning is about a name, and names are marked as binary. */
    int ok = status == ARCHIVE_OK || status == ARCHIVE_WARN;
    /* No content, but the sparse map goes before its first byte. */
    if (ok) ok = archive_write_data(e->archive, "", 0) >= 0;
    e->keep = 0;
    if (!ok) return 0;
    if (!end_entry(e)) return 0;
    if (e->has_acl) restore_mode(e);
    *bytes = e->bytes;
    *count = e->count;
    return 1;
}

const char *glovebox_archive_reason(glovebox_archive *e) {
    const char *text = archive_error_string(e->archive);
    return text ? text : "no reason given";
}

const char *glovebox_archive_version(void) { return ARCHIVE_VERSION_ONLY_STRING; }
