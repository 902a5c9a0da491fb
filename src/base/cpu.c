/* SPDX-License-Identifier: MIT */
#include "base/cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__x86_64__)
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 }; /* Linux, asm/prctl.h */

/* Leaf 7: sub-leaf 0 EDX bits 22 (bf16), 24 (tile), 25 (int8); sub-leaf 1 EAX bit 4 (AVX-VNNI).
 * Tile registers must also be asked for, once for the process (Linux 5.16). */
static unsigned detect_leaf7(void)
{
    unsigned a, b, c, d, flags = 0;
    const unsigned amx = 1u << 22 | 1u << 24 | 1u << 25;

    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & amx) == amx &&
        syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0)
        flags |= VLY_CPU_AMX;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & 1u << 4) != 0)
        flags |= VLY_CPU_AVX_VNNI;
    return flags;
}
#endif

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
    if ((flags & VLY_CPU_AVX512) != 0 && __builtin_cpu_supports("avx512vbmi"))
        flags |= VLY_CPU_AVX512_VBMI;
    if ((flags & VLY_CPU_AVX2) != 0)
        flags |= detect_leaf7();
    if ((flags & VLY_CPU_AVX512_VNNI) == 0 || (flags & VLY_CPU_AVX512_BF16) == 0)
        flags &= ~(unsigned)VLY_CPU_AMX; /* its kernels finish with these */
#elif defined(__aarch64__)
    flags |= VLY_CPU_NEON;
#endif
    return flags;
}

static unsigned mask_from_env(void)
{
    const char *level = getenv("VOLLEY_CPU");
    if (level == NULL || strcmp(level, "amx") == 0 || strcmp(level, "neon") == 0)
        return ~0u;
    if (strcmp(level, "avx512") == 0)
        return ~(unsigned)VLY_CPU_AMX;
    if (strcmp(level, "avx2") == 0)
        return VLY_CPU_AVX2 | VLY_CPU_AVX_VNNI;
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
    if ((flags & VLY_CPU_AMX) != 0)
        return "amx";
    if ((flags & VLY_CPU_AVX512) != 0)
        return "avx512";
    if ((flags & VLY_CPU_AVX2) != 0)
        return "avx2";
    return (flags & VLY_CPU_NEON) != 0 ? "neon" : "c";
}
