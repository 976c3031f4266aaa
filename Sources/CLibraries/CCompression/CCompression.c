#include "CCompression.h"

#include <limits.h>
#include <stdbool.h>
#include <zlib.h>
#include <zstd.h>

enum glovebox_decompression glovebox_inflate(const void *input, size_t input_size, void *output,
                                             size_t output_size) {
    if (input_size > UINT_MAX || output_size > UINT_MAX) return GLOVEBOX_STREAM_DAMAGED;

    z_stream stream = {
        .next_in = (Bytef *)input,
        .avail_in = (uInt)input_size,
        .next_out = output,
        .avail_out = (uInt)output_size,
    };
    // Negative: no zlib header. 12: what QEMU writes and reads.
    int status = inflateInit2(&stream, -12);
    if (status != Z_OK) return GLOVEBOX_NO_MEMORY;
    status = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    // A full output with input left is Z_BUF_ERROR: the input's length is known to a sector only.
    bool ended = status == Z_STREAM_END || status == Z_BUF_ERROR;
    if (status == Z_MEM_ERROR) return GLOVEBOX_NO_MEMORY;
    return ended && stream.avail_out == 0 ? GLOVEBOX_DECOMPRESSED : GLOVEBOX_STREAM_DAMAGED;
}

enum glovebox_decompression glovebox_zstd(const void *input, size_t input_size, void *output,
                                          size_t output_size) {
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (context == NULL) return GLOVEBOX_NO_MEMORY;
    // A frame may ask for a window of gigabytes; a cluster has 2 MiB.
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 24);
    ZSTD_inBuffer from = {.src = input, .size = input_size};
    ZSTD_outBuffer to = {.dst = output, .size = output_size};
    size_t left = 0;
    enum glovebox_decompression result = GLOVEBOX_DECOMPRESSED;
    while (to.pos < to.size) {
        size_t from_before = from.pos, to_before = to.pos;
        left = ZSTD_decompressStream(context, &to, &from);
        if (ZSTD_isError(left) || (from.pos == from_before && to.pos == to_before)) {
            result = GLOVEBOX_STREAM_DAMAGED;
            break;
        }
    }
    // A frame that is not flushed completely holds more than a cluster.
    if (result == GLOVEBOX_DECOMPRESSED && left != 0) result = GLOVEBOX_STREAM_DAMAGED;
    ZSTD_freeDCtx(context);
    return result;
}

const char *glovebox_zlib_version(void) { return zlibVersion(); }

const char *glovebox_zstd_version(void) { return ZSTD_versionString(); }
