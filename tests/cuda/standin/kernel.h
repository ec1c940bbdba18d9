// What a module tells of each of its kernels.
#pragma once

struct StandinKernel {
    const char* name;
    void (*call)(void** args);
    int count;                   // of parameters
    const int* bytes;            // of each
    const char* pointers;        // 1 for each that is a plain pointer
};
