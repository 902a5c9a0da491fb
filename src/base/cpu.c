/* SPDX-License-Identifier: MIT */
#include "base/cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static unsigned detect(void)
{
    unsigned flags = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        flags |= VLY_CPU_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        flags |= VLY_CPU_AVX512;
    if ((flags & VLY_CPU_AVX512) != 0 && __builtin_cpu_supports("avx512vnni"))
        flags |= VLY_CPU_AVX512_VNNI;
    if ((flags & VLY_CPU_AVX512) != 0 && __builtin_cpu_supports("avx512bf16"))
        flags |= VLY_CPU_AVX512_BF16;
#elif defined(__aarch64__)
    flags |= VLY_CPU_NEON;
#endif
    return flags;
}

static unsigned mask_from_env(void)
{
    const char *level = getenv("VOLLEY_CPU");
    if (level == NULL || strcmp(level, "avx512") == 0)
        return ~0u;
    if (strcmp(level, "avx2") == 0)
        return VLY_CPU_AVX2;
    return 0; /* "c", and anything unknown: the level that is always right */
}

static unsigned cpu_flags;

static void set_flags(void)
{
    cpu_flags = detect() & mask_from_env();
}

unsigned vly_cpu_flags(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_flags);
    return cpu_flags;
}

const char *vly_cpu_level(void)
{
    unsigned flags = vly_cpu_flags();
    if ((flags & VLY_CPU_AVX512) != 0)
        return "avx512";
    if ((flags & VLY_CPU_AVX2) != 0)
        return "avx2";
    return (flags & VLY_CPU_NEON) != 0 ? "neon" : "c";
}
