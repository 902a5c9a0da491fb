/* SPDX-License-Identifier: MIT */
/* The kinds of transport, in alphabetical order: vly_load__NAME is in load_NAME.c. */
#ifndef VLY_LOAD_TRANSPORT_LIST_H
#define VLY_LOAD_TRANSPORT_LIST_H

#define VLY_LOAD_KINDS(X)                                                                          \
    X(grpc)                                                                                        \
    X(http1)                                                                                       \
    X(http2)                                                                                       \
    X(websocket)

#endif
