/* SPDX-License-Identifier: MIT */
/* The table of settings: sys/config.h says what it means. */
#ifndef VLY_SYS_CONFIG_MAP_H
#define VLY_SYS_CONFIG_MAP_H

#include "base/log.h"

#include <stdint.h>

#define VLY_KIB INT64_C(1024)
#define VLY_MIB (INT64_C(1024) * 1024)
#define VLY_GIB (INT64_C(1024) * 1024 * 1024)

/* kind, field, name, default, min, max, one line for people */
#define VLY_CONFIG_MAP(X)                                                                          \
    X(TEXT, profile, "profile", "none", 1, 32,                                                     \
      "defaults for a purpose: none, development, staging, production, low-memory, gpu or "        \
      "high-concurrency")                                                                          \
    X(TEXT, http_address, "http.address", "127.0.0.1", 1, 64,                                      \
      "address to listen on, IPv4 or IPv6; 0.0.0.0 or :: for every interface")                     \
    X(INT, http_port, "http.port", 8000, 0, 65535, "port to listen on; 0 lets the system choose")  \
    X(INT, http_loops, "http.loops", 1, 1, 64, "threads that do socket input and output")          \
    X(INT, http_max_connections, "http.max_connections", 1024, 1, 1000000,                         \
      "open connections; one more is answered 503 and closed")                                     \
    X(INT, http_max_pipelined, "http.max_pipelined", 16, 1, 1024,                                  \
      "requests of one connection in work at once; reading pauses at this many")                   \
    X(BYTES, http_max_header_bytes, "http.max_header_bytes", 16 * VLY_KIB, 1 * VLY_KIB,            \
      1 * VLY_MIB, "request line and headers together; more is answered 431, or 414")              \
    X(INT, http_max_headers, "http.max_headers", 100, 1, 10000,                                    \
      "headers in one request; more is answered 431")                                              \
    X(BYTES, http_max_body_bytes, "http.max_body_bytes", 128 * VLY_MIB, 1, 64 * VLY_GIB,           \
      "body of one request; more is answered 413")                                                 \
    X(BYTES, http_max_body_total_bytes, "http.max_body_total_bytes", 1 * VLY_GIB, 1,               \
      1024 * VLY_GIB, "bodies of all requests held at once; past it requests are answered 503")    \
    X(BYTES, http_max_scratch_bytes, "http.max_scratch_bytes", 16 * VLY_MIB, 64 * VLY_KIB,         \
      1 * VLY_GIB, "memory one request may use besides its body and tensors")                      \
    X(INT, http_header_timeout_ms, "http.header_timeout_ms", 10000, 10, 3600000,                   \
      "time for a client to send a whole header; later is answered 408")                           \
    X(INT, http_body_timeout_ms, "http.body_timeout_ms", 20000, 10, 3600000,                       \
      "time for a client to send a body, prolonged by what http.body_min_rate grants")             \
    X(BYTES, http_body_min_rate, "http.body_min_rate", 16 * VLY_KIB, 1, 1 * VLY_GIB,               \
      "bytes of a body that prolong http.body_timeout_ms by one second")                           \
    X(INT, http_idle_timeout_ms, "http.idle_timeout_ms", 60000, 10, 86400000,                      \
      "time a connection may stay open without a request")                                         \
    X(INT, http_write_timeout_ms, "http.write_timeout_ms", 20000, 10, 3600000,                     \
      "time without a byte taken by the client after which an answer is given up")                 \
    X(BOOL, http_abort_on_close, "http.abort_on_close", true, 0, 1,                                \
      "a client that closes its sending side while it waits has gone: cancel its requests")        \
    X(TEXT, tls_certificate, "tls.certificate", "", 0, 4096,                                       \
      "PEM file: the server's certificate, then its chain; with it the port speaks HTTPS only")    \
    X(TEXT, tls_key, "tls.key", "", 0, 4096,                                                       \
      "PEM file of the certificate's key, without a password; by default tls.certificate")         \
    X(TEXT, tls_min_version, "tls.min_version", "1.2", 1, 8, "oldest TLS to speak: 1.2 or 1.3")    \
    X(INT, tls_check_ms, "tls.check_ms", 5000, 10, 86400000,                                       \
      "how often to look for a new certificate; it is also read again on SIGHUP")                  \
    X(INT, http2_max_streams, "http2.max_streams", 128, 0, 100000,                                 \
      "requests of one HTTP/2 connection in work at once; 0 turns HTTP/2 off")                     \
    X(INT, http2_max_noise, "http2.max_noise", 1000, 10, 1000000,                                  \
      "PING, SETTINGS, RST_STREAM and empty frames of a connection in 10 s beyond its data")       \
    X(BYTES, http2_window_bytes, "http2.window_bytes", 1 * VLY_MIB, 64 * VLY_KIB, 1 * VLY_GIB,     \
      "flow-control window of one HTTP/2 request")                                                 \
    X(BYTES, http2_conn_window_bytes, "http2.connection_window_bytes", 16 * VLY_MIB, 64 * VLY_KIB, \
      1 * VLY_GIB, "flow-control window of one HTTP/2 connection")                                 \
    X(BYTES, stream_max_message_bytes, "stream.max_message_bytes", 64 * VLY_MIB, 0, 2 * VLY_GIB,   \
      "one message of a WebSocket or a gRPC stream; 0 turns streams off")                          \
    X(BYTES, stream_max_in_bytes, "stream.max_in_bytes", 16 * VLY_MIB, 1 * VLY_KIB, 64 * VLY_GIB,  \
      "messages of one stream in work; past it the client is read no further")                     \
    X(BYTES, stream_max_out_bytes, "stream.max_out_bytes", 64 * VLY_MIB, 1 * VLY_KIB,              \
      64 * VLY_GIB, "messages that one stream's client has not taken; past it they are refused")   \
    X(INT, stream_ping_ms, "stream.ping_ms", 20000, 10, 86400000,                                  \
      "silence of a stream's client after which it is pinged")                                     \
    X(INT, stream_idle_ms, "stream.idle_ms", 60000, 10, 86400000,                                  \
      "silence of a stream's client, pongs included, after which it is closed")                    \
    X(INT, drain_timeout_ms, "drain_timeout_ms", 30000, 0, 3600000,                                \
      "time for accepted requests to end after SIGTERM")                                           \
    X(TEXT, models_dir, "models.dir", "models", 1, 4096,                                           \
      "directory of models: NAME/1/model.onnx or NAME.onnx")                                       \
    X(TEXT, models_control, "models.control", "none", 4, 8,                                        \
      "when models come and go: none (as at start), poll, or explicit (as requests say)")          \
    X(TEXT, models_load, "models.load", "", 0, 65536,                                              \
      "with explicit control, models to load at start, separated by commas; * for all")            \
    X(INT, models_poll_interval_ms, "models.poll_interval_ms", 15000, 10, 86400000,                \
      "with poll control, time between two looks at the directory")                                \
    X(INT, models_max_waiting, "models.max_waiting", 64, 1, 10000,                                 \
      "load and unload requests that wait for the loader; one more is answered 429")               \
    X(BOOL, models_map_files, "models.map_files", false, 0, 1,                                     \
      "map model files instead of reading them; they must then only be replaced by rename")        \
    X(BYTES, model_max_file_bytes, "model.max_file_bytes", 8 * VLY_GIB, 1 * VLY_KIB,               \
      1024 * VLY_GIB, "size of one model file or of its external data")                            \
    X(BYTES, model_arena_max_bytes, "model.arena_max_bytes", 8 * VLY_GIB, 1 * VLY_MIB,             \
      1024 * VLY_GIB, "memory for the intermediate tensors of one instance")                       \
    X(TEXT, model_precision, "model.precision", "auto", 3, 1024,                                   \
      "how convolutions multiply: exact, fp32, bf16, int8 or auto")                                \
    X(TEXT, model_execution, "model.execution", "auto", 4, 8,                                      \
      "how requests run: auto (measured at load), inline, parallel or batched")                    \
    X(TEXT, rate_resources, "rate.resources", "", 0, 4096,                                         \
      "how many of each resource of rate limiters there are, R1=4,R2=2; else what one run needs")  \
    X(TEXT, cache_redis_url, "cache.redis_url", "", 0, 1024,                                       \
      "Redis or Valkey behind the cache, shared by servers: "                                      \
      "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or unix:PATH[?db=DB]")                           \
    X(TEXT, cache_redis_password_file, "cache.redis_password_file", "", 0, 4096,                   \
      "file whose first line is its password, rather than one in the URL")                         \
    X(TEXT, cache_redis_prefix, "cache.redis_prefix", "volley:", 1, 64,                            \
      "begin of every key; servers that share results have the same")                              \
    X(INT, cache_redis_timeout_ms, "cache.redis_timeout_ms", 50, 1, 60000,                         \
      "an answer later than this is a miss, and Redis is not asked again for a while")             \
    X(INT, cache_redis_connect_ms, "cache.redis_connect_ms", 1000, 1, 60000,                       \
      "time to connect, log in and get a first answer")                                            \
    X(INT, cache_redis_max_failures, "cache.redis_max_failures", 5, 1, 1000,                       \
      "errors in a row after which Redis is not asked for a while")                                \
    X(INT, cache_redis_retry_min_ms, "cache.redis_retry_min_ms", 500, 1, 3600000,                  \
      "that while at first; it doubles each time")                                                 \
    X(INT, cache_redis_retry_max_ms, "cache.redis_retry_max_ms", 30000, 1, 3600000,                \
      "that while at most")                                                                        \
    X(INT, cache_redis_max_waiting, "cache.redis_max_waiting", 1024, 1, 1000000,                   \
      "lookups under way; one more is a miss")                                                     \
    X(BYTES, cache_redis_max_value_bytes, "cache.redis_max_value_bytes", 8 * VLY_MIB, 1 * VLY_KIB, \
      512 * VLY_MIB, "longest value that is kept in Redis, or read from it")                       \
    X(BYTES, cache_redis_max_out_bytes, "cache.redis_max_out_bytes", 64 * VLY_MIB, 4 * VLY_KIB,    \
      64 * VLY_GIB, "values on their way to Redis; more are not kept there")                       \
    X(INT, threads, "threads", 0, 0, 1024, "worker threads; 0: one for each core it may use")      \
    X(INT, queue_max, "queue.max", 64, 1, 1000000,                                                 \
      "requests waiting for one model; one more is answered 429")                                  \
    X(INT, queue_max_wait_ms, "queue.max_wait_ms", 0, 0, 86400000,                                 \
      "a request that would wait longer for its model, as measured, is answered 429 at once; "     \
      "0: only one that would wait past its own deadline is")                                      \
    X(INT, sequence_max, "sequence.max", 10000, 1, 10000000,                                       \
      "live sequences of one model; one more is answered 429")                                     \
    X(BYTES, picture_max_bytes, "picture.max_bytes", 32 * VLY_MIB, 64, 1 * VLY_GIB,                \
      "one encoded picture")                                                                       \
    X(INT, picture_max_pixels, "picture.max_pixels", 64000000, 1, 4000000000,                      \
      "width times height of one picture")                                                         \
    X(INT, picture_max_dim, "picture.max_dim", 16384, 1, 65535, "width or height of one picture")  \
    X(BYTES, http_max_answer_bytes, "http.max_answer_bytes", 256 * VLY_MIB, 4 * VLY_KIB,           \
      64 * VLY_GIB, "body of one answer; one that would be larger is answered 503")                \
    X(BYTES, http_compress_min_bytes, "http.compress_min_bytes", 1 * VLY_KIB, 0, 1 * VLY_GIB,      \
      "smallest answer that is compressed for a client that takes it; 0: none is")                 \
    X(TEXT, http_access_log, "http.access_log", "off", 1, 4096,                                    \
      "file for one JSON line per request, - for standard output, or off")                         \
    X(BYTES, http_access_log_bytes, "http.access_log_bytes", 1 * VLY_MIB, 16 * VLY_KIB,            \
      1 * VLY_GIB, "lines waiting to be written to http.access_log; more are dropped, counted")    \
    X(TEXT, metrics_names, "metrics.names", "all", 3, 64,                                          \
      "whose names /metrics has: all, or some of triton, volley and guides, by commas")            \
    X(BOOL, metrics_summaries, "metrics.summaries", false, 0, 1,                                   \
      "show Triton's summaries too, nv_inference_*_summary_us")                                    \
    X(INT, metrics_max_models, "metrics.max_models", 200, 1, 100000,                               \
      "models that /metrics shows; of more only the count")                                        \
    X(BOOL, http_allow_client_shm, "http.allow_client_shm", false, 0, 1,                           \
      "clients that are trusted like the server may pass tensors in shared memory")                \
    X(TEXT, http_origins, "http.origins", "", 0, 4096,                                             \
      "origins of other servers' pages that may come (CORS, WebSockets), by commas; * for all")    \
    X(INT, http_max_shm_regions, "http.max_shm_regions", 128, 1, 65536,                            \
      "regions of shared memory registered at a time")                                             \
    X(BYTES, json_max_memory_bytes, "json.max_memory_bytes", 256 * VLY_MIB, 4 * VLY_KIB,           \
      64 * VLY_GIB,                                                                                \
      "memory for the parsed form of a JSON body, of a recording also for its text; "              \
      "more is answered 413")                                                                      \
    X(INT, json_max_depth, "json.max_depth", 32, 1, 512, "nesting of a JSON body")                 \
    X(INT, multipart_max_parts, "multipart.max_parts", 64, 1, 10000, "files in one request")       \
    X(INT, grpc_max_stream_requests, "grpc.max_stream_requests", 4096, 1, 1000000,                 \
      "requests of one ModelStreamInfer call that wait; one more ends the call")                   \
    X(INT, stream_max_in_work, "stream.max_in_work", 16, 1, 4096,                                  \
      "requests of one stream in work at once; the others wait their turn")                        \
    X(BYTES, cache_memory_bytes, "cache.memory_bytes", 64 * VLY_MIB, 0, 1024 * VLY_GIB,            \
      "results of models kept in memory; 0 keeps none")                                            \
    X(TEXT, cache_models, "cache.models", "", 0, 65536,                                            \
      "models whose results are kept, by commas, * for all; by default as their configs say")      \
    X(INT, cache_ttl_prediction_s, "cache.ttl_prediction_s", 300, 1, 31536000,                     \
      "how long results and observations are kept")                                                \
    X(INT, cache_ttl_video_s, "cache.ttl_video_s", 900, 1, 31536000,                               \
      "how long what is known of a video is kept")                                                 \
    X(INT, cache_ttl_session_s, "cache.ttl_session_s", 3600, 1, 31536000,                          \
      "how long what is known of a session is kept")                                               \
    X(INT, cache_ttl_response_s, "cache.ttl_response_s", 120, 1, 31536000,                         \
      "how long drawn pictures are kept")                                                          \
    X(BOOL, cache_ttl_dynamic, "cache.ttl_dynamic", false, 0, 1,                                   \
      "half to double these times, by how often results of the model are found")                   \
    X(TEXT, cache_compression, "cache.compression", "lz4", 3, 4,                                   \
      "of large values in memory: lz4, zstd or off")                                               \
    X(BYTES, cache_compress_min_bytes, "cache.compress_min_bytes", 16 * VLY_KIB, 256, 1 * VLY_GIB, \
      "values of this size and more are compressed, where that saves a quarter")                   \
    X(TEXT, cache_warmup, "cache.warmup", "", 0, 4096,                                             \
      "file of pictures to compute at start, each line: MODEL PICTURE")                            \
    X(TEXT, steps_model, "steps.model", "", 0, 4096,                                               \
      "ONNX file of the step model; by default the one that is built in, off for none")            \
    X(INT, steps_look_ahead_ms, "steps.look_ahead_ms", -1, -1, 10000,                              \
      "ms after an event at which it is known at the latest; -1: as the model was trained")        \
    X(INT, imu_max_readings, "imu.max_readings", 10000000, 1, 1000000000,                          \
      "readings of one recording, also when counted at 80 Hz; more is answered 413")               \
    X(INT, imu_rate_hz, "imu.rate_hz", 80, 1, 10000,                                               \
      "rate of streamed readings that bring no times")                                             \
    X(INT, guide_idle_ms, "guide.idle_ms", 300000, 10, 86400000,                                   \
      "silence of a client of /ws/realtime after which it is closed")                              \
    X(INT, imu_max_sessions, "imu.max_sessions", 20000, 1, 10000000,                               \
      "sessions of motion sensors, attached or not; one more is answered 429")                     \
    X(INT, imu_idle_ms, "imu.idle_ms", 3600000, 1000, 31536000000,                                 \
      "time after which a session that nobody is attached to is forgotten")                        \
    X(INT, imu_snapshot_ms, "imu.snapshot_ms", 1000, 10, 3600000,                                  \
      "with a store, how often the sessions that have changed are saved")                          \
    X(INT, imu_max_waiting, "imu.max_waiting", 8192, 1, 100000000,                                 \
      "readings of one session that wait to be run; more is refused")                              \
    X(INT, imu_max_waiting_total, "imu.max_waiting_total", 2000000, 64, 1000000000,                \
      "the same of all sessions, shared out among the loops")                                      \
    X(TEXT, mqtt_url, "mqtt.url", "", 0, 512,                                                      \
      "broker to take readings of motion sensors from: mqtt://HOST[:PORT], mqtts://HOST[:PORT]")   \
    X(TEXT, mqtt_topic, "mqtt.topic", "volley/imu/+/+", 1, 1024,                                   \
      "topic filter of the readings; its last two levels are the user and the device")             \
    X(TEXT, mqtt_events, "mqtt.events", "volley/steps", 1, 512,                                    \
      "topic above those of the steps, which go to MQTT.EVENTS/USER/DEVICE")                       \
    X(TEXT, mqtt_client_id, "mqtt.client_id", "", 0, 23,                                           \
      "with it the broker keeps messages while the server is away (QoS 1); by default not")        \
    X(TEXT, mqtt_user, "mqtt.user", "", 0, 256, "user that the broker knows")                      \
    X(TEXT, mqtt_password_file, "mqtt.password_file", "", 0, 4096,                                 \
      "file whose first line is the password of mqtt.user")                                        \
    X(TEXT, mqtt_ca, "mqtt.ca", "", 0, 4096,                                                       \
      "PEM file of who vouches for an mqtts broker; by default those that the system trusts")      \
    X(BYTES, mqtt_max_payload_bytes, "mqtt.max_payload_bytes", 1 * VLY_MIB, 64, 256 * VLY_MIB,     \
      "one message; a larger one is left out, and counted")                                        \
    X(INT, mqtt_max_devices, "mqtt.max_devices", 10000, 1, 10000000,                               \
      "devices attached at a time; messages of one more are left out, and counted")                \
    X(TEXT, routes_file, "routes.file", "", 0, 4096,                                               \
      "JSON file of routes: read at the start and with settings, written with each change; by "    \
      "default there is none")                                                                     \
    X(INT, routes_max, "routes.max", 64, 1, 1000, "routes; one more is refused")                   \
    X(INT, routes_check_ms, "routes.check_ms", 1000, 10, 3600000,                                  \
      "how often routes look after their arms: verdicts of the guard, steps of a schedule")        \
    X(TEXT, routes_shadow_log, "routes.shadow_log", "", 0, 4096,                                   \
      "file of lines of JSON: answers of arms and of shadows, compared; by default none is kept")  \
    X(BYTES, routes_shadow_log_bytes, "routes.shadow_log_bytes", 1 * VLY_MIB, 64 * VLY_KIB,        \
      1 * VLY_GIB, "lines of it that wait for the disk; more are dropped")                         \
    X(INT, routes_shadow_max, "routes.shadow_max", 2, 0, 1000,                                     \
      "copies of requests in work for shadows; more are dropped")                                  \
    X(BYTES, routes_shadow_max_bytes, "routes.shadow_max_bytes", 32 * VLY_MIB, 1 * VLY_KIB,        \
      1 * VLY_GIB, "one copy, with the answer that it is compared with; larger ones are dropped")  \
    X(TEXT, store_path, "store.path", "", 0, 4096,                                                 \
      "SQLite file for sessions, which then outlive the process; by default they do not")          \
    X(TEXT, store_backup_path, "store.backup_path", "", 0, 4096,                                   \
      "file that POST /v1/store:backup writes; by default store.path with .backup behind it")      \
    X(BOOL, store_power_safe, "store.power_safe", true, 0, 1,                                      \
      "what is saved survives a loss of power, too; false: only the end of the process")           \
    X(TEXT, otlp_endpoint, "otlp.endpoint", "", 0, 4096,                                           \
      "collector of traces, OTLP over HTTP: http://HOST:4318/v1/traces; by default none")          \
    X(NUMBER, otlp_sample, "otlp.sample", 0.1, 0, 1,                                               \
      "share of the requests that are traced, of those that belong to no trace yet")               \
    X(BOOL, otlp_trust_parent, "otlp.trust_parent", true, 0, 1,                                    \
      "traceparent of an admitted request decides whether it is traced; false: otlp.sample does")  \
    X(TEXT, otlp_service_name, "otlp.service_name", "volley", 1, 256, "service.name of the spans") \
    X(TEXT, otlp_resource, "otlp.resource", "", 0, 4096,                                           \
      "further attributes of the resource: deployment.environment.name=blue,key=value")            \
    X(TEXT, otlp_headers_file, "otlp.headers_file", "", 0, 4096,                                   \
      "file of headers for the collector, Name: value in each line")                               \
    X(TEXT, otlp_ca, "otlp.ca", "", 0, 4096,                                                       \
      "PEM file of who vouches for an https collector; by default those that the system trusts")   \
    X(INT, otlp_interval_ms, "otlp.interval_ms", 5000, 10, 3600000, "time between two batches")    \
    X(INT, otlp_timeout_ms, "otlp.timeout_ms", 10000, 10, 600000, "of one request to it")          \
    X(BYTES, otlp_max_queue_bytes, "otlp.max_queue_bytes", 4 * VLY_MIB, 64 * VLY_KIB, 1 * VLY_GIB, \
      "spans that wait to be sent; more are dropped, counted")                                     \
    X(TEXT, access_keys, "access.keys", "", 0, 4096,                                               \
      "file of API keys (volley key mint); with it requests need one, by default they do not")     \
    X(INT, access_check_ms, "access.check_ms", 5000, 10, 86400000,                                 \
      "how often to look whether that file has changed; it is also read again on SIGHUP")          \
    X(BOOL, access_open, "access.open", false, 0, 1,                                               \
      "listen beyond loopback without keys: whoever can connect may do everything")                \
    X(TEXT, access_trusted_proxies, "access.trusted_proxies", "", 0, 4096,                         \
      "addresses and ranges, by commas, whose X-Forwarded-For tells the client's address")         \
    X(INT, limits_window_s, "limits.window_s", 60, 1, 86400,                                       \
      "seconds in which the requests of limits.address_requests and limits.key_requests may come") \
    X(INT, limits_address_requests, "limits.address_requests", 0, 0, 1000000000,                   \
      "requests of one address (of IPv6 its /64); more are answered 429; 0: no bound")             \
    X(INT, limits_address_burst, "limits.address_burst", 0, 0, 1000000000,                         \
      "of them at once after a silence; 0: all")                                                   \
    X(INT, limits_address_concurrency, "limits.address_concurrency", 0, 0, 1000000,                \
      "requests and streams of one address in work; more are answered 429; 0: no bound")           \
    X(INT, limits_key_requests, "limits.key_requests", 0, 0, 1000000000,                           \
      "requests of one API key that has no rate of its own; more are answered 429; 0: no bound")   \
    X(INT, limits_key_burst, "limits.key_burst", 0, 0, 1000000000,                                 \
      "of them at once after a silence; 0: all")                                                   \
    X(INT, limits_key_concurrency, "limits.key_concurrency", 0, 0, 1000000,                        \
      "requests and streams of one API key in work; more are answered 429; 0: no bound")           \
    X(INT, limits_max_clients, "limits.max_clients", 65536, 1, 100000000,                          \
      "addresses whose requests are counted; one more is counted in place of a silent one")        \
    X(TEXT, admin_address, "admin.address", "127.0.0.1", 1, 64,                                    \
      "address of the admin listener, IPv4 or IPv6")                                               \
    X(INT, admin_port, "admin.port", -1, -1, 65535,                                                \
      "port of a listener that alone loads, unloads and changes things; -1: http.port does")       \
    X(LEVEL, log_level, "log.level", VLY_LOG_INFO, 0, 0, "debug, info, warn or error")

#endif
