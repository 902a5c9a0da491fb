/* SPDX-License-Identifier: MIT */
/* Version of libvolley and the volley program. Semantic versioning; the ABI may change before 1.0.
 */
#ifndef VOLLEY_VERSION_H
#define VOLLEY_VERSION_H

#define VOLLEY_VERSION_MAJOR 0
#define VOLLEY_VERSION_MINOR 1
#define VOLLEY_VERSION_PATCH 0
#define VOLLEY_VERSION       "0.1.0"

#endif
