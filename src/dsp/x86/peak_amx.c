/* SPDX-License-Identifier: MIT */
#include "dsp/x86/peak_x86.h"

#include <stdint.h>

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

_Static_assert(sizeof(tile_config) == 64, "what ldtilecfg reads");

/* Tiles 0..5 add up products of tiles 6 and 7. The thread's own configuration comes back. */
#define LOOP(op)                                                                                   \
    __asm__ volatile("sttilecfg %1\n\tldtilecfg %2\n\t"                                            \
                     "tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\t"                   \
                     "tilezero %%tmm3\n\ttilezero %%tmm4\n\ttilezero %%tmm5\n\t"                   \
                     "tilezero %%tmm6\n\ttilezero %%tmm7\n\t1:\n\t" op                             \
                     " %%tmm7, %%tmm6, %%tmm0\n\t" op " %%tmm7, %%tmm6, %%tmm1\n\t" op             \
                     " %%tmm7, %%tmm6, %%tmm2\n\t" op " %%tmm7, %%tmm6, %%tmm3\n\t" op             \
                     " %%tmm7, %%tmm6, %%tmm4\n\t" op " %%tmm7, %%tmm6, %%tmm5\n\t"                \
                     "dec %0\n\tjnz 1b\n\tldtilecfg %1"                                            \
                     : "+r"(n_rounds), "+m"(before)                                                \
                     : "m"(config)                                                                 \
                     : "cc")

static tile_config full_tiles(void)
{
    tile_config config = {.palette = 1};

    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    return config;
}

void vly_peak_bf16_amx(size_t n_rounds)
{
    tile_config config = full_tiles(), before = {0};
    LOOP("tdpbf16ps");
}

void vly_peak_int8_amx(size_t n_rounds)
{
    tile_config config = full_tiles(), before = {0};
    LOOP("tdpbusd");
}
