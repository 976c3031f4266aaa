#include "CCompression.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <zlib.h>
#include <zstd.h>

// typeof keeps each pointer's type that of the header's declaration.
static __typeof__(&inflateInit2_) inflate_init;
static __typeof__(&inflate) inflate_run;
static __typeof__(&inflateEnd) inflate_end;
static bool have_zlib;
static pthread_once_t zlib_once = PTHREAD_ONCE_INIT;

static __typeof__(&ZSTD_createDCtx) zstd_create;
static __typeof__(&ZSTD_freeDCtx) zstd_free;
static __typeof__(&ZSTD_DCtx_setParameter) zstd_set;
static __typeof__(&ZSTD_decompressStream) zstd_run;
static __typeof__(&ZSTD_isError) zstd_is_error;
static bool have_zstd;
static pthread_once_t zstd_once = PTHREAD_ONCE_INIT;

static void load_zlib(void) {
    void *library = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return;
    inflate_init = (__typeof__(inflate_init))dlsym(library, "inflateInit2_");
    inflate_run = (__typeof__(inflate_run))dlsym(library, "inflate");
    inflate_end = (__typeof__(inflate_end))dlsym(library, "inflateEnd");
    have_zlib = inflate_init != NULL && inflate_run != NULL && inflate_end != NULL;
}

static void load_zstd(void) {
    void *library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return;
    zstd_create = (__typeof__(zstd_create))dlsym(library, "ZSTD_createDCtx");
    zstd_free = (__typeof__(zstd_free))dlsym(library, "ZSTD_freeDCtx");
    zstd_set = (__typeof__(zstd_set))dlsym(library, "ZSTD_DCtx_setParameter");
    zstd_run = (__typeof__(zstd_run))dlsym(library, "ZSTD_decompressStream");
    zstd_is_error = (__typeof__(zstd_is_error))dlsym(library, "ZSTD_isError");
    have_zstd = zstd_create != NULL && zstd_free != NULL && zstd_set != NULL && zstd_run != NULL &&
                zstd_is_error != NULL;
}

enum glovebox_decompression glovebox_inflate(const void *input, size_t input_size, void *output,
                                             size_t output_size) {
    pthread_once(&zlib_once, load_zlib);
    if (!have_zlib) return GLOVEBOX_LIBRARY_MISSING;
    if (input_size > UINT_MAX || output_size > UINT_MAX) return GLOVEBOX_STREAM_DAMAGED;

    z_stream stream = {
        .next_in = (Bytef *)input,
        .avail_in = (uInt)input_size,
        .next_out = output,
        .avail_out = (uInt)output_size,
    };
    // Negative: no zlib header. 12: what QEMU writes and reads.
    int status = inflate_init(&stream, -12, ZLIB_VERSION, (int)sizeof stream);
    if (status != Z_OK) return GLOVEBOX_NO_MEMORY;
    status = inflate_run(&stream, Z_FINISH);
    inflate_end(&stream);
    // A full output with input left is Z_BUF_ERROR: the input's length is known to a sector only.
    bool ended = status == Z_STREAM_END || status == Z_BUF_ERROR;
    if (status == Z_MEM_ERROR) return GLOVEBOX_NO_MEMORY;
    return ended && stream.avail_out == 0 ? GLOVEBOX_DECOMPRESSED : GLOVEBOX_STREAM_DAMAGED;
}

enum glovebox_decompression glovebox_zstd(const void *input, size_t input_size, void *output,
                                          size_t output_size) {
    pthread_once(&zstd_once, load_zstd);
    if (!have_zstd) return GLOVEBOX_LIBRARY_MISSING;

    ZSTD_DCtx *context = zstd_create();
    if (context == NULL) return GLOVEBOX_NO_MEMORY;
    // A frame may ask for a window of gigabytes; a cluster has 2 MiB.
    zstd_set(context, ZSTD_d_windowLogMax, 24);
    ZSTD_inBuffer from = {.src = input, .size = input_size};
    ZSTD_outBuffer to = {.dst = output, .size = output_size};
    size_t left = 0;
    enum glovebox_decompression result = GLOVEBOX_DECOMPRESSED;
    while (to.pos < to.size) {
        size_t from_before = from.pos, to_before = to.pos;
        left = zstd_run(context, &to, &from);
        if (zstd_is_error(left) || (from.pos == from_before && to.pos == to_before)) {
            result = GLOVEBOX_STREAM_DAMAGED;
            break;
        }
    }
    // A frame that is not flushed completely holds more than a cluster.
    if (result == GLOVEBOX_DECOMPRESSED && left != 0) result = GLOVEBOX_STREAM_DAMAGED;
    zstd_free(context);
    return result;
}
