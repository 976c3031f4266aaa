#include "CChecksums.h"
#include <string.h>

/* Reflected polynomial 0x82F63B78; eight tables, so that eight bytes go through per step. */
static uint32_t table[8][256];

__attribute__((constructor)) static void fill(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = (c >> 1) ^ (c & 1 ? 0x82F63B78u : 0);
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            table[t][i] = (table[t - 1][i] >> 8) ^ table[0][table[t - 1][i] & 0xFF];
}

static uint32_t by_table(uint32_t c, const uint8_t *p, size_t n) {
    for (; n >= 8; p += 8, n -= 8) {
        uint32_t a = c ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        c = table[7][a & 0xFF] ^ table[6][(a >> 8) & 0xFF] ^ table[5][(a >> 16) & 0xFF] ^ table[4][a >> 24]
          ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    while (n--) c = (c >> 8) ^ table[0][(c ^ *p++) & 0xFF];
    return c;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
__attribute__((target("sse4.2")))
static uint32_t by_instruction(uint32_t c, const uint8_t *p, size_t n) {
    uint64_t wide = c;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    c = (uint32_t)wide;
    while (n--) c = _mm_crc32_u8(c, *p++);
    return c;
}
uint32_t glovebox_crc32c(uint32_t state, const void *bytes, size_t count) {
    return __builtin_cpu_supports("sse4.2") ? by_instruction(state, bytes, count) : by_table(state, bytes, count);
}
#else
uint32_t glovebox_crc32c(uint32_t state, const void *bytes, size_t count) {
    return by_table(state, bytes, count);
}
#endif
