// The emulator's functions under other names: the device "emu" may be in the same
// process, and its kernels must go on finding those that check memory.
#pragma once
#define EMU_AS_HARDWARE 1
#define emu standin_emu
#define emu_thread_index standin_thread_index
#define emu_block_index standin_block_index
#define emu_block_size standin_block_size
#define emu_grid_size standin_grid_size
#define emu_dynamic_shared standin_dynamic_shared
#define emu_barrier standin_barrier
#define emu_sync_warp standin_sync_warp
#define emu_ballot standin_ballot
#define emu_shuffle standin_shuffle
#define emu_atomic standin_atomic
#define emu_mma_tf32 standin_mma_tf32
#define emu_copy_async standin_copy_async
#define emu_copy_commit standin_copy_commit
#define emu_copy_wait standin_copy_wait
#define emu_launch standin_launch
#define emu_boxes_shared standin_boxes_shared
#define emu_barrier_init standin_barrier_init
#define emu_barrier_arrive standin_barrier_arrive
#define emu_barrier_wait standin_barrier_wait
#define emu_fence_async standin_fence_async
#define emu_load_box standin_load_box
#define emu_wgmma_fence standin_wgmma_fence
#define emu_wgmma_commit standin_wgmma_commit
#define emu_wgmma_wait standin_wgmma_wait
#define emu_wgmma standin_wgmma
#define emu_tensor_map standin_tensor_map
