// Streams, events and graphs: when work is done.
//
// CUDA promises little: work of one stream is done in order, an event orders two
// streams, the legacy stream waits for the blocking ones and they for it; all else may
// happen in any order. standin_order() chooses among what is allowed. "Eager" streams
// do their work when it is given; "late" ones only when somebody waits for it, which is
// what a busy GPU looks like from its host. A program that forgot an event gives
// different numbers, where a GPU would only now and then.
#include "standin.h"

#include <stdio.h>

#include <map>
#include <mutex>
#include <set>

namespace standin {

typedef std::shared_ptr<Task> TaskPtr;

struct Task {
    Work work;
    std::vector<TaskPtr> after;
    bool done;
};

struct Capture {
    Stream* origin;
    std::vector<Work> nodes;
    std::set<Stream*> open;      // streams that have joined and not come back
    bool invalid;
};
typedef std::shared_ptr<Capture> CapturePtr;

struct Stream {
    bool blocking;
    unsigned int flags;
    int priority;
    TaskPtr last;
    std::vector<TaskPtr> waits;  // for the next task
    CapturePtr capture;
};

struct Event {
    TaskPtr task;
    CapturePtr capture;
    Stream* of;
};

namespace {

std::recursive_mutex lock;       // callbacks may come back with more
typedef std::lock_guard<std::recursive_mutex> Guard;
Stream legacy = {true, 0, 0};
std::set<Stream*> streams = {&legacy};
std::set<Event*> events;
std::set<Graph*> graphs;
std::vector<TaskPtr> left;       // by streams that have been destroyed
int sticky;
bool legacy_is_late, others_are_late;

Stream* stream_of(void* given)
{
    if (given == 0 || given == (void*)1 || given == (void*)2) return &legacy;
    return streams.count((Stream*)given) ? (Stream*)given : 0;
}

// Do a task and all that comes before it; no recursion, since a queue may be long.
void finish(TaskPtr task)
{
    std::vector<TaskPtr> todo;
    if (task) todo.push_back(task);
    while (!todo.empty()) {
        TaskPtr now = todo.back();
        size_t before = todo.size();
        if (!now->done)
            for (TaskPtr& one : now->after)
                if (!one->done) todo.push_back(one);
        if (todo.size() > before) continue;
        todo.pop_back();
        if (now->done) continue;
        now->done = true;
        Work work;
        work.swap(now->work);
        now->after.clear();
        if (work && !sticky) work();
    }
}

TaskPtr add(Stream* stream, Work work)
{
    TaskPtr task(new Task{work, {}, false});
    task->after.swap(stream->waits);
    if (stream->last) task->after.push_back(stream->last);
    if (stream == &legacy) {
        for (Stream* one : streams)
            if (one->blocking && one->last) task->after.push_back(one->last);
    } else if (stream->blocking && legacy.last) {
        task->after.push_back(legacy.last);
    }
    stream->last = task;
    if (!(stream == &legacy ? legacy_is_late : others_are_late)) finish(task);
    return task;
}

int invalidate(CapturePtr capture, int error)
{
    capture->invalid = true;
    return error;
}

// Why nothing may be given to a stream, or waited for on it, because of a capture.
int forbidden(Stream* stream, bool waits)
{
    if (stream->capture) {
        if (stream->capture->invalid) return CAPTURE_INVALIDATED;
        return waits ? invalidate(stream->capture, CAPTURE_UNSUPPORTED) : SUCCESS;
    }
    if (stream == &legacy)
        for (Stream* one : streams)
            if (one->blocking && one->capture)
                return invalidate(one->capture, CAPTURE_IMPLICIT);
    return SUCCESS;
}

}  // namespace

void fail(int error) { if (!sticky) sticky = error; }

int submit(void* given, Work work)
{
    Guard guard(lock);
    if (sticky) return sticky;
    Stream* stream = stream_of(given);
    if (!stream) return INVALID_HANDLE;
    if (int error = forbidden(stream, false)) return error;
    if (stream->capture)
        stream->capture->nodes.push_back(work);
    else
        add(stream, work);
    return sticky;
}

int wait_for_stream(void* given)
{
    Guard guard(lock);
    Stream* stream = stream_of(given);
    if (!stream) return INVALID_HANDLE;
    if (int error = forbidden(stream, true)) return error;
    finish(stream == &legacy ? add(stream, Work()) : stream->last);
    return sticky;
}

int wait_for_all()
{
    Guard guard(lock);
    for (Stream* one : streams)
        if (one->capture) return invalidate(one->capture, CAPTURE_UNSUPPORTED);
    return settle();
}

// As wait_for_all, but for calls that a capture does not mind, such as cudaFree.
int settle()
{
    Guard guard(lock);
    for (Stream* one : std::set<Stream*>(streams)) finish(one->last);
    for (TaskPtr& one : left) finish(one);
    left.clear();
    return sticky;
}

}  // namespace standin

using namespace standin;

extern "C" {

// Which streams do their work late. Returns what it was before: 1, the legacy stream;
// 2, the others.
int standin_order(int late)
{
    Guard guard(lock);
    int before = legacy_is_late + 2 * others_are_late;
    settle();
    legacy_is_late = late & 1, others_are_late = late & 2;
    return before;
}

int standin_stream_create(void** stream, unsigned int flags, int priority)
{
    Guard guard(lock);
    Stream* made = new Stream{!(flags & 1), flags, priority};
    streams.insert(made);
    *stream = made;
    return sticky;
}

// Its work goes on, as CUDA has it, and the caller does not wait.
int standin_stream_destroy(void* given)
{
    Guard guard(lock);
    Stream* stream = stream_of(given);
    if (!stream || stream == &legacy) return INVALID_HANDLE;
    if (stream->blocking) finish(stream->last);
    else if (stream->last) left.push_back(stream->last);
    streams.erase(stream);
    delete stream;
    return sticky;
}

int standin_stream_flags(void* given, unsigned int* flags, int* priority)
{
    Guard guard(lock);
    Stream* stream = stream_of(given);
    if (!stream) return INVALID_HANDLE;
    if (flags) *flags = stream->flags;
    if (priority) *priority = stream->priority;
    return SUCCESS;
}

// Asked whether it is ready, the device gets on with its work: the next answer is yes.
int standin_stream_query(void* given)
{
    Guard guard(lock);
    Stream* stream = stream_of(given);
    if (!stream) return INVALID_HANDLE;
    if (int error = forbidden(stream, true)) return error;
    if (!stream->last || stream->last->done) return sticky;
    finish(stream->last);
    return NOT_READY;
}

int standin_event_create(void** event)
{
    Guard guard(lock);
    *event = *events.insert(new Event()).first;
    return sticky;
}

int standin_event_destroy(void* event)
{
    Guard guard(lock);
    if (!events.erase((Event*)event)) return INVALID_HANDLE;
    delete (Event*)event;
    return SUCCESS;
}

int standin_event_record(void* given, void* on)
{
    Guard guard(lock);
    Event* event = (Event*)given;
    Stream* stream = stream_of(on);
    if (!stream || !events.count(event)) return INVALID_HANDLE;
    if (int error = forbidden(stream, false)) return error;
    event->capture = stream->capture, event->of = stream, event->task.reset();
    if (!stream->capture) event->task = add(stream, Work());
    return sticky;
}

int standin_event_query(void* given, int waits)
{
    Guard guard(lock);
    Event* event = (Event*)given;
    if (!events.count(event)) return INVALID_HANDLE;
    if (event->capture) return invalidate(event->capture, CAPTURED_EVENT);
    if (!event->task || event->task->done) return sticky;
    finish(event->task);
    return waits ? sticky : NOT_READY;
}

int standin_stream_wait(void* given, void* what)
{
    Guard guard(lock);
    Event* event = (Event*)what;
    Stream* stream = stream_of(given);
    if (!stream || !events.count(event)) return INVALID_HANDLE;
    if (int error = forbidden(stream, false)) return error;
    if (event->capture && event->capture->origin->capture == event->capture) {
        if (!stream->capture) {
            if (stream == &legacy) return invalidate(event->capture, CAPTURE_IMPLICIT);
            stream->capture = event->capture;
            event->capture->open.insert(stream);
        } else if (stream->capture != event->capture) {
            return invalidate(stream->capture, CAPTURE_ISOLATION);
        }
        if (stream == event->capture->origin) event->capture->open.erase(event->of);
        return SUCCESS;
    }
    if (stream->capture) return invalidate(stream->capture, CAPTURE_ISOLATION);
    if (event->task && !event->task->done) stream->waits.push_back(event->task);
    return sticky;
}

int standin_capture_begin(void* given)
{
    Guard guard(lock);
    Stream* stream = stream_of(given);
    if (!stream) return INVALID_HANDLE;
    if (stream == &legacy || stream->capture) return CAPTURE_UNSUPPORTED;
    stream->capture.reset(new Capture{stream});
    return sticky;
}

int standin_capture_end(void* given, void** graph)
{
    Guard guard(lock);
    *graph = 0;
    Stream* stream = stream_of(given);
    if (!stream) return INVALID_HANDLE;
    CapturePtr capture = stream->capture;
    if (!capture) return INVALID_VALUE;
    if (capture->origin != stream) return invalidate(capture, CAPTURE_UNMATCHED);
    bool unjoined = !capture->open.empty();
    for (Stream* one : streams)
        if (one->capture == capture) one->capture.reset();
    if (capture->invalid) return CAPTURE_INVALIDATED;
    if (unjoined) return CAPTURE_UNJOINED;
    Graph* made = new Graph{capture->nodes};
    graphs.insert(made);
    *graph = made;
    return sticky;
}

// 0: none; 1: active; 2: one that has been invalidated.
int standin_capture_status(void* given, int* status)
{
    Guard guard(lock);
    Stream* stream = stream_of(given);
    if (!stream) return INVALID_HANDLE;
    *status = stream->capture ? 1 + stream->capture->invalid : 0;
    return *status ? SUCCESS : forbidden(stream, false);
}

int standin_graph_copy(void* graph, void** made)
{
    Guard guard(lock);
    if (!graphs.count((Graph*)graph)) return INVALID_VALUE;
    *made = *graphs.insert(new Graph(*(Graph*)graph)).first;
    return SUCCESS;
}

int standin_graph_destroy(void* graph)
{
    Guard guard(lock);
    settle();
    if (!graphs.erase((Graph*)graph)) return INVALID_VALUE;
    delete (Graph*)graph;
    return SUCCESS;
}

int standin_graph_launch(void* given, void* stream)
{
    Guard guard(lock);
    Graph* graph = (Graph*)given;
    if (!graphs.count(graph)) return INVALID_VALUE;
    return submit(stream, [graph] { for (const Work& work : graph->nodes) work(); });
}

int standin_graph_print(void* graph, const char* path)
{
    Guard guard(lock);
    FILE* file = graphs.count((Graph*)graph) ? fopen(path, "w") : 0;
    if (!file) return INVALID_VALUE;
    fputs("digraph dot {\nsubgraph cluster_0 {\n", file);
    for (size_t i = 0; i < ((Graph*)graph)->nodes.size(); i++)
        fprintf(file, "\"graph_0_node_%zu\"[label=\"%zu\"];\n", i, i);
    fputs("}\n}\n", file);
    fclose(file);
    return SUCCESS;
}

int standin_synchronize(void* stream) { return wait_for_stream(stream); }
int standin_synchronize_all() { return wait_for_all(); }

int standin_host_function(void* stream, void (*function)(void*), void* data)
{
    return submit(stream, [=] { function(data); });
}

}
