#include "CChecksums.h"
#include <pthread.h>
#include <string.h>

/* For reflected polynomials. Eight tables each, so that eight bytes go through per step. */
typedef struct {
    uint32_t polynomial;
    uint32_t table[8][256];
    pthread_once_t once;
} crc_tables;

static crc_tables castagnoli = {.polynomial = 0x82F63B78u, .once = PTHREAD_ONCE_INIT};
static crc_tables iso = {.polynomial = 0xEDB88320u, .once = PTHREAD_ONCE_INIT};

static void fill(crc_tables *t) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = (c >> 1) ^ (c & 1 ? t->polynomial : 0);
        t->table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            t->table[k][i] = (t->table[k - 1][i] >> 8) ^ t->table[0][t->table[k - 1][i] & 0xFF];
}
static void fill_castagnoli(void) { fill(&castagnoli); }
static void fill_iso(void) { fill(&iso); }

static uint32_t by_table(const uint32_t (*t)[256], uint32_t c, const uint8_t *p, size_t n) {
    for (; n >= 8; p += 8, n -= 8) {
        uint32_t a = c ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        c = t[7][a & 0xFF] ^ t[6][(a >> 8) & 0xFF] ^ t[5][(a >> 16) & 0xFF] ^ t[4][a >> 24]
          ^ t[3][p[4]] ^ t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
    }
    while (n--) c = (c >> 8) ^ t[0][(c ^ *p++) & 0xFF];
    return c;
}

uint32_t glovebox_crc32(uint32_t state, const void *bytes, size_t count) {
    pthread_once(&iso.once, fill_iso);
    return by_table(iso.table, state, bytes, count);
}

static uint32_t crc32c_by_table(uint32_t state, const void *bytes, size_t count) {
    pthread_once(&castagnoli.once, fill_castagnoli);
    return by_table(castagnoli.table, state, bytes, count);
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
    return __builtin_cpu_supports("sse4.2") ? by_instruction(state, bytes, count) : crc32c_by_table(state, bytes, count);
}
#else
uint32_t glovebox_crc32c(uint32_t state, const void *bytes, size_t count) {
    return crc32c_by_table(state, bytes, count);
}
#endif
