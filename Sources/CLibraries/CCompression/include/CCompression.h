#ifndef GLOVEBOX_CCOMPRESSION_H
#define GLOVEBOX_CCOMPRESSION_H

#include <stddef.h>

// zlib and zstd. Safe to call from several threads.

enum glovebox_decompression {
    GLOVEBOX_DECOMPRESSED = 0,
    /// The stream is damaged, or does not have exactly the size of the output.
    GLOVEBOX_STREAM_DAMAGED = 1,
    /// The library could not get memory.
    GLOVEBOX_NO_MEMORY = 2,
};

/// Fills `output` from a raw deflate stream with a window of 4 KiB, as qcow2 stores it.
enum glovebox_decompression glovebox_inflate(const void *input, size_t input_size, void *output,
                                             size_t output_size);

/// Fills `output` from a Zstandard frame.
enum glovebox_decompression glovebox_zstd(const void *input, size_t input_size, void *output,
                                          size_t output_size);

/// The versions of zlib and zstd.
const char *glovebox_zlib_version(void);
const char *glovebox_zstd_version(void);

#endif
