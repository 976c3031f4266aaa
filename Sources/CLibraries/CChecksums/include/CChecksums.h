#ifndef GLOVEBOX_CCHECKSUMS_H
#define GLOVEBOX_CCHECKSUMS_H
#include <stddef.h>
#include <stdint.h>
/* CRC-32C (Castagnoli) without the final inversion, as ext4 and XFS use it: state in, state out.
   Uses the processor's crc32 instruction where it has one. */
uint32_t glovebox_crc32c(uint32_t state, const void *bytes, size_t count);

/* CRC-32 of ISO-HDLC, as zlib and GPT use it, without the inversions at begin and end. */
uint32_t glovebox_crc32(uint32_t state, const void *bytes, size_t count);
#endif
