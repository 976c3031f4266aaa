#ifndef GLOVEBOX_CDIGEST_H
#define GLOVEBOX_CDIGEST_H
#include <nettle/sha2.h>
#include <nettle/version.h>
#include <stddef.h>
#include <stdint.h>
/* nettle's names are macros, which Swift does not see; and version 4 takes no length. */
static inline void glovebox_sha256_begin(struct sha256_ctx *state) { sha256_init(state); }
static inline void glovebox_sha256_add(struct sha256_ctx *state, const void *bytes, size_t count) {
    sha256_update(state, count, bytes);
}
static inline void glovebox_sha256_end(struct sha256_ctx *state, uint8_t *digest) {
#if NETTLE_VERSION_MAJOR >= 4
    sha256_digest(state, digest);
#else
    sha256_digest(state, SHA256_DIGEST_SIZE, digest);
#endif
}
static inline int glovebox_nettle_major(void) { return NETTLE_VERSION_MAJOR; }
static inline int glovebox_nettle_minor(void) { return NETTLE_VERSION_MINOR; }
#endif
